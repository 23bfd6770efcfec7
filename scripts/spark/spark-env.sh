# Environment of the Spark in .venv, copied there by set-up, which fills in the two paths. Spark exports what is set here.
JAVA_HOME="@JAVA_HOME@"
PYSPARK_PYTHON="${PYSPARK_PYTHON:-@PYTHON@}"
# A host name that resolves to nothing stops Spark, and one that resolves to the loopback makes it guess an interface.
if [ -z "${SPARK_LOCAL_IP:-}" ]; then
    case "$(getent hosts "${HOSTNAME:-localhost}" 2>/dev/null)" in
        "" | 127.* | ::1*) SPARK_LOCAL_IP=127.0.0.1 ;;
    esac
fi
