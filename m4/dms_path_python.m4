# DMS_PATH_PYTHON(MODULES): sets PYTHON to a Python 3 that can import all of MODULES (separated by spaces), or to plain
# python3 when there is none: tests look for the modules that they need and are skipped without them. A PYTHON given to
# configure is taken as it is.
AC_DEFUN([DMS_PATH_PYTHON], [
  AC_ARG_VAR([PYTHON], [Python 3 with the modules $1, for tests])
  AC_MSG_CHECKING([for Python 3 with $1])
  AS_IF([test -n "$PYTHON"], [AC_MSG_RESULT([$PYTHON])], [
    for dms_python in python3 /usr/bin/python3; do
      AS_IF([$dms_python -c "m4_foreach_w([module], [$1], [import module; ])" >&AS_MESSAGE_LOG_FD 2>&1],
        [PYTHON=$dms_python; break])
    done
    AC_MSG_RESULT([${PYTHON:-no, some tests will be skipped}])
    : "${PYTHON:=python3}"
  ])
])
