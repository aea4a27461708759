"""The server that a user would write in ten lines: FastAPI, joblib, pandas. The other side of the
ratio; it validates types only, names no version, gives no interval and must be restarted to change.
"""

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model

from housing import schema

model = joblib.load(os.environ["PLAIN_MODEL"])
District = create_model(
    "District",
    **{
        name: (str if name in schema.CATEGORIES else float, ...)  # type: ignore[call-overload]
        for name in schema.FEATURES
    },
)


class Question(BaseModel):
    """As the housing server takes it."""

    districts: list[District]  # type: ignore[valid-type]


app = FastAPI()


@app.post("/predict")
def predict(question: Question) -> dict:
    """One table, one call."""
    frame = pd.DataFrame([district.model_dump() for district in question.districts])
    return {"predictions": model.predict(frame).tolist()}
