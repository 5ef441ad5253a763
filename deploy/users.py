"""Create the users of the team's MLflow server, and say what each may do.

Run it with the environment of `make server-env`, as the administrator:

    export MLFLOW_TRACKING_URI=https://mlflow.example.org MLFLOW_TRACKING_USERNAME=admin
    read -rs MLFLOW_TRACKING_PASSWORD && export MLFLOW_TRACKING_PASSWORD
    .venv-server/bin/python deploy/users.py add anna
    .venv-server/bin/python deploy/users.py grant anna --experiment finetrack --model finetrack
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from typing import Any, Final

import requests

PERMISSIONS: Final = ("READ", "EDIT", "MANAGE")
TIMEOUT_SECONDS: Final = 30.0


class RefusedError(Exception):
    """The server refuses, or cannot be asked; the message says why."""


class UserApi:
    """MLflow's REST API for users and permissions; importing MLflow for it would take seconds.

    Args:
        address: Of the server.
        login: The administrator's name and password.
    """

    def __init__(self, address: str, login: tuple[str, str]) -> None:
        self._address = address.rstrip("/")
        self._session = requests.Session()
        self._session.auth = login

    def ask(self, method: str, path: str, **values: str) -> Any:
        """Send a request, and return its answer.

        Raises:
            RefusedError: The server does not answer, or refuses.
        """
        queried, sent = (values, None) if method == "GET" else (None, values)
        try:
            answer = self._session.request(
                method,
                f"{self._address}/api/{path}",
                params=queried,
                json=sent,
                timeout=TIMEOUT_SECONDS,
                verify=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True,
            )
        except requests.exceptions.SSLError as error:
            advice = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of the authority that signed it"
            raise RefusedError(f"the certificate is not accepted ({advice}): {shorten(error)}") from None
        except (requests.RequestException, OSError) as error:
            raise RefusedError(f"no answer from {self._address}: {shorten(error)}") from None
        if answer.status_code == 401:
            raise RefusedError(
                "it does not know this user and password (MLFLOW_TRACKING_USERNAME, ..._PASSWORD)"
            )
        if not answer.ok:
            raise RefusedError(f"the server answers {answer.status_code}: {describe_answer(answer)}")
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            raise RefusedError(f"{self._address} is no MLflow server: its answer is no JSON") from None


def describe_answer(answer: requests.Response) -> str:
    """Return MLflow's words, without the statement of its database, which they may quote."""
    try:
        found = answer.json()
        text = f"{found['error_code']}: {found['message']}"
    except (ValueError, KeyError, TypeError):
        text = answer.text
    return shorten(text.partition(" Error: (")[0])


def shorten(text: object) -> str:
    """Return a text on one line, cut after 300 characters."""
    return " ".join(str(text).split())[:300]


def main(words: list[str] | None = None) -> int:
    """Run one command; return the exit code.

    Args:
        words: Of the command line; None takes those of the process.
    """
    arguments = build_parser().parse_args(words)
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    address, user, password = (os.environ.get(name, "") for name in names)
    try:
        if not (address and user and password):
            raise RefusedError(f"{', '.join(names)} must be set: the server, and its administrator")
        for line in arguments.run(UserApi(address, (user, password)), arguments):
            print(line)
    except RefusedError as error:
        sys.stderr.write(f"users.py: {error}\n")
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the four commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        ("add", add_user, "create a user, and print their new password"),
        ("password", replace_password, "print a new password of a user"),
        ("remove", remove_user, "delete a user; their runs stay"),
        ("grant", grant_permission, "let a user read or write an experiment, or a registered model"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("user")
        command.set_defaults(run=run)
    command.add_argument("--experiment", metavar="NAME", help="tracking.experiment; created if there is none")
    command.add_argument("--model", metavar="NAME", help="registry.name, also before its first version")
    command.add_argument("--permission", choices=PERMISSIONS, default="EDIT", help="EDIT: reads and writes")
    return parser


def add_user(server: UserApi, arguments: argparse.Namespace) -> Iterator[str]:
    """Create a user with a random password; what they may do is granted separately."""
    password = secrets.token_urlsafe(24)
    server.ask("POST", "2.0/mlflow/users/create", username=arguments.user, password=password)
    yield from describe_credentials(arguments.user, password)


def replace_password(server: UserApi, arguments: argparse.Namespace) -> Iterator[str]:
    """Give a user a new random password."""
    password = secrets.token_urlsafe(24)
    server.ask("PATCH", "2.0/mlflow/users/update-password", username=arguments.user, password=password)
    yield from describe_credentials(arguments.user, password)


def describe_credentials(user: str, password: str) -> Iterator[str]:
    """Return the lines of ~/.mlflow/credentials, which MLflow reads on the user's machine."""
    yield "# for ~/.mlflow/credentials (chmod 600) on the machine of the user; it is shown once"
    yield "[mlflow]"
    yield f"mlflow_tracking_username = {user}"
    yield f"mlflow_tracking_password = {password}"


def remove_user(server: UserApi, arguments: argparse.Namespace) -> Iterator[str]:
    """Delete a user and their permissions."""
    server.ask("DELETE", "2.0/mlflow/users/delete", username=arguments.user)
    yield f"{arguments.user} is deleted"


def grant_permission(server: UserApi, arguments: argparse.Namespace) -> Iterator[str]:
    """Grant a permission on an experiment, on a registered model, or on both."""
    if not arguments.experiment and not arguments.model:
        raise RefusedError("name an --experiment or a --model")
    if arguments.experiment:
        found = find_experiment(server, arguments.experiment)
        yield grant(server, arguments, resource_type="experiment", resource_id=found)
    if arguments.model:
        yield grant(server, arguments, resource_type="registered_model", resource_id=arguments.model)


def grant(server: UserApi, arguments: argparse.Namespace, **resource: str) -> str:
    """Grant the permission on one resource, instead of an earlier one; return what was granted."""
    path, asked = "3.0/mlflow/users/permissions", {"username": arguments.user, **resource}
    try:
        server.ask("POST", f"{path}/grant", permission=arguments.permission, **asked)
    except RefusedError as error:
        if "RESOURCE_ALREADY_EXISTS" not in str(error):
            raise
        server.ask("POST", f"{path}/revoke", **asked)
        server.ask("POST", f"{path}/grant", permission=arguments.permission, **asked)
    kind = resource["resource_type"].replace("_", " ")
    name = arguments.experiment if kind == "experiment" else arguments.model
    return f"{arguments.user}: {arguments.permission} on the {kind} {name}"


def find_experiment(server: UserApi, name: str) -> str:
    """Return the id of an experiment, which is created if it does not exist."""
    try:
        found = server.ask("GET", "2.0/mlflow/experiments/get-by-name", experiment_name=name)
    except RefusedError as error:
        if "RESOURCE_DOES_NOT_EXIST" not in str(error):
            raise
        return str(server.ask("POST", "2.0/mlflow/experiments/create", name=name)["experiment_id"])
    return str(found["experiment"]["experiment_id"])


if __name__ == "__main__":
    sys.exit(main())
