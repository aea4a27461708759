"""The mirror: runs, trials, models and promotions, shown in an MLflow tracking server as well.

Only this program decides; what the other system holds is a copy. `client` speaks to it, `content`
says what is sent of each object, `model_files` makes a model's files there, `drain` sends what was
not sent, `check` counts differences.
"""
