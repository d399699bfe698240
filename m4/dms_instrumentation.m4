# Options that make an instrumented build, for tests only. Their flags go to DMS_CFLAGS and DMS_LDFLAGS.

# DMS_ADD_INSTRUMENTATION(FLAGS): adds FLAGS to compilation and linking, or stops if the compiler cannot link with them.
AC_DEFUN([DMS_ADD_INSTRUMENTATION], [
  AC_MSG_CHECKING([whether $CC can link with $1])
  dms_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS $1"
  AC_LINK_IFELSE([AC_LANG_PROGRAM()],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([$CC cannot link with $1
  gcc needs libasan, libubsan or libtsan; clang on Debian needs libclang-rt-dev.])])
  CFLAGS=$dms_saved_CFLAGS
  AS_VAR_APPEND([DMS_CFLAGS], [" $1"])
  AS_VAR_APPEND([DMS_LDFLAGS], [" $1"])
])

# --enable-sanitizers=LIST: LIST is what -fsanitize= takes. Every finding ends the program, so that a test sees it.
AC_DEFUN([DMS_ENABLE_SANITIZERS], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST],
      [build with these sanitizers: address,undefined or thread])])
  AS_CASE([${enable_sanitizers:-no}],
    [no], [],
    [yes], [AC_MSG_ERROR([say which sanitizers, for example --enable-sanitizers=address,undefined])],
    [DMS_ADD_INSTRUMENTATION([-fsanitize=$enable_sanitizers -fno-sanitize-recover=all])
     AS_VAR_APPEND([DMS_CFLAGS], [" -fno-omit-frame-pointer"])])
  AM_CONDITIONAL([SANITIZED], [test "${enable_sanitizers:-no}" != no])
])

# --enable-fuzzing: the fuzz targets become libFuzzer programs (clang only) instead of replaying their corpus.
# LIB_FUZZING_ENGINE, where it is set, names another engine with libFuzzer's interface.
AC_DEFUN([DMS_ENABLE_FUZZING], [
  AC_ARG_ENABLE([fuzzing],
    [AS_HELP_STRING([--enable-fuzzing],
      [make the fuzz targets libFuzzer programs (needs clang; brings address and undefined sanitizers)])])
  AC_ARG_VAR([LIB_FUZZING_ENGINE], [what fuzz targets link with under --enable-fuzzing [-fsanitize=fuzzer]])
  AS_VAR_IF([enable_fuzzing], [yes], [
    : "${LIB_FUZZING_ENGINE=-fsanitize=fuzzer}"
    DMS_ADD_INSTRUMENTATION([-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all])])
  AM_CONDITIONAL([FUZZING], [test "${enable_fuzzing:-no}" = yes])
])
