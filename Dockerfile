# The package with everything `make setup` installs, on CPU or GPU (docker run --gpus all).
# Not built as part of the tests: where they run there is no Docker.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /rapsam
COPY . .
RUN PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 make setup
ENV PATH=/rapsam/.venv/bin:$PATH
CMD ["make", "demo"]
