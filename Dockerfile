# Steerboard on any server; docs/space.md says more.
#   docker build -t steerboard .
#   docker build -t steerboard --build-arg TORCH_INDEX=https://pypi.org/simple .    # PyPI's torch brings CUDA
#   docker run --init -p 7860:7860 -v steerboard:/data steerboard                   # with a GPU: --gpus all
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --only-binary :all: --extra-index-url "$TORCH_INDEX" --requirement requirements.txt

COPY LICENSE README.md app.py ./
COPY adapters adapters
COPY leaderboard leaderboard
COPY demo demo
COPY benchmarks benchmarks

RUN useradd --create-home --uid 1000 steerboard && install --directory --owner steerboard /data
USER 1000
ENV PYTHONUNBUFFERED=1 STEERBOARD_HOST=0.0.0.0 STEERBOARD_HOME=/data HF_HOME=/data/huggingface
VOLUME /data
EXPOSE 7860
# The first start downloads and converts the base model.
HEALTHCHECK --interval=1m --timeout=10s --start-period=10m \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/', timeout=9)"]
CMD ["python", "app.py"]
