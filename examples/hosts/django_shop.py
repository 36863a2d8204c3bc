"""A Django application. Its order and the run that ships it are stored in the transaction of the request."""

import sys
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import IntegrityError, connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from sqlalchemy import make_url

from examples.hosts.workflows import DATABASE, Order, Ship, open_shop
from stepwell.errors import WorkflowNotFound

stepwell, url = open_shop(), make_url(DATABASE)
database = {"ENGINE": "django.db.backends." + {"sqlite": "sqlite3"}.get(url.drivername, url.drivername)}
database |= {"NAME": url.database or "", "HOST": url.host or "", "PORT": str(url.port or "")}
database |= {"USER": url.username or "", "PASSWORD": url.password or ""}
settings.configure(DATABASES={"default": database}, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="example")
django.setup()


class Ordered(models.Model):
    order_id = models.CharField(max_length=80, primary_key=True)

    class Meta:
        app_label = "shop"


def order(request: HttpRequest, order_id: str) -> JsonResponse:
    runner = stepwell.runner.blocking.as_user(request.headers["X-User"])
    try:
        with transaction.atomic():  # or ATOMIC_REQUESTS
            run = runner.run(Ship, Order(order_id=order_id), connection=connection)
            Ordered.objects.create(order_id=order_id)
    except IntegrityError:
        return JsonResponse({"error": f"{order_id} is ordered already"}, status=409)  # and the second run isn't there
    return JsonResponse({"run": run.workflow_id}, status=202)


def shown(request: HttpRequest, run_id: str) -> JsonResponse:
    try:
        run = stepwell.runner.blocking.as_user(request.headers["X-User"]).get(run_id)
    except WorkflowNotFound as error:  # another user's too
        return JsonResponse({"error": str(error)}, status=404)
    return JsonResponse({"status": run.status, "result": run.result})


urlpatterns: list[Any] = [path("orders/<order_id>", order), path("runs/<run_id>", shown)]

if __name__ == "__main__":
    if Ordered._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Ordered)
    with stepwell:  # until Ctrl-C
        execute_from_command_line(["shop", "runserver", "--noreload", sys.argv[1]])
