"""A Flask application. Its order and the run that ships it are stored in one transaction of SQLAlchemy's."""

import sys
from typing import Any

from flask import Flask, request
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from examples.hosts.workflows import DATABASE, Order, Ship, open_shop
from stepwell.errors import StepwellError

stepwell = open_shop()
engine = create_engine(DATABASE.replace("postgresql:", "postgresql+psycopg:"))
with engine.begin() as made:
    made.execute(text("CREATE TABLE IF NOT EXISTS flask_orders (id VARCHAR(80) PRIMARY KEY)"))
engine.dispose()  # a server may fork after this
app = Flask(__name__)


@app.post("/orders/<order_id>")
def order(order_id: str) -> Any:
    runner = stepwell.runner.blocking.as_user(request.headers["X-User"])
    try:
        with engine.begin() as connection:
            run = runner.run(Ship, Order(order_id=order_id), connection=connection)
            connection.execute(text("INSERT INTO flask_orders VALUES (:id)"), {"id": order_id})
    except IntegrityError:
        return {"error": f"{order_id} is ordered already"}, 409  # and the second run isn't there
    return {"run": run.workflow_id}, 202


@app.get("/runs/<run_id>")
def shown(run_id: str) -> Any:
    run = stepwell.runner.blocking.as_user(request.headers["X-User"]).get(run_id)
    return {"status": run.status, "result": run.result}


@app.errorhandler(StepwellError)
def refused(error: StepwellError) -> Any:
    return {"error": str(error)}, error.http_status  # another user's run: 404


if __name__ == "__main__":
    with stepwell:  # until Ctrl-C
        app.run(port=int(sys.argv[1]))
