"""The server that a user would write in ten lines: FastAPI, joblib, pandas. The other side of the
ratio; it validates types only, names no version, gives no interval and must be restarted to change.
"""

import os
import socket
import sys

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model
from uvicorn.supervisors import Multiprocess

from housing import schema

model = joblib.load(os.environ["PLAIN_MODEL"]) if __name__ != "__main__" else None
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


def main() -> None:
    """`uvicorn --workers N`, but for a socket that is named as TCP: uvicorn's own is not, and so
    has Nagle's algorithm, which can make an answer wait for 40 ms. Neither side has it.
    """
    port, workers = (int(text) for text in sys.argv[1:])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        where = "benchmarks.serving.plain:app"
        config = uvicorn.Config(where, workers=workers, log_level="warning", access_log=False)
        Multiprocess(config, sockets=[listening]).run()


if __name__ == "__main__":
    main()
