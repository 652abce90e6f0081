# The buddies daemon. docs/operating.md, "In a container", says how to run it.
FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/buddies \
    && /opt/buddies/bin/pip install --no-cache-dir --disable-pip-version-check . \
    && /opt/buddies/bin/pip uninstall --yes --disable-pip-version-check pip

FROM python:3.13-slim-trixie
COPY --from=build /opt/buddies /opt/buddies
RUN useradd --uid 10001 --create-home buddies \
    && install --directory --owner=buddies --group=buddies --mode=0700 /data
ENV PATH=/opt/buddies/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BUDDIES_DATA_DIR=/data
USER 10001
VOLUME /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["buddies-cli", "status", "--json"]
ENTRYPOINT ["buddies-core"]
