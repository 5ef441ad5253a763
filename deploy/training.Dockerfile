# An environment to train in; the project itself is mounted, see docs/how-to/docker.md. Build it in the project's folder:
#   docker build -f deploy/training.Dockerfile -t finetrack-train .
FROM python:3.11-slim
# git and make for the project; libgl1 and libglib2.0-0 for OpenCV; openssh-client for git remotes by SSH.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make libgl1 libglib2.0-0 openssh-client \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/finetrack
COPY requirements.lock pipeline/commands/finetrack.sh ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
    && install -m 755 finetrack.sh /opt/venv/bin/finetrack
ENV PATH=/opt/venv/bin:$PATH MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
# Any user id may run it, also one without a name and a home folder: DVC ends without either.
ENV HOME=/tmp LOGNAME=finetrack
CMD ["finetrack", "doctor"]
