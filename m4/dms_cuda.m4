# DMS_WITH_CUDA: decides whether the CUDA module is built. Sets NVCC and the condition CUDA. nvcc has no .pc file; it is
# looked for in the PATH and in /usr/local/cuda, or below the DIR of --with-cuda=DIR. A program shows whether it works: it
# needs a C++ compiler of its own.
AC_DEFUN([DMS_WITH_CUDA], [
  AC_ARG_WITH([cuda],
    [AS_HELP_STRING([--with-cuda@<:@=DIR@:>@],
      [build the module for CUDA devices with the nvcc of DIR (default: when an nvcc is found); --without-cuda: do not])],
    [], [with_cuda=auto])
  AC_ARG_VAR([NVCC], [the CUDA compiler])
  AS_CASE([$with_cuda],
    [no], [dms_cuda_path=],
    [yes|auto], [dms_cuda_path=$PATH:/usr/local/cuda/bin],
    [dms_cuda_path=$with_cuda/bin])
  AS_IF([test "$with_cuda" = no], [NVCC=no], [AC_PATH_PROG([NVCC], [nvcc], [no], [$dms_cuda_path])])
  dms_cuda=$NVCC
  AS_IF([test "$NVCC" != no], [
    AC_MSG_CHECKING([whether $NVCC makes shared objects])
    mkdir conftest.cuda
    echo '__global__ void kernel(int *x) { *x = 1; }' >conftest.cuda/kernel.cu
    AS_IF([$NVCC -shared -cudart static -Xcompiler -fPIC -o conftest.cuda/kernel.so conftest.cuda/kernel.cu \
        >&AS_MESSAGE_LOG_FD 2>&1],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       dms_cuda=no])
    rm -rf conftest.cuda])
  AS_IF([test "$dms_cuda" = no && test "$with_cuda" != no && test "$with_cuda" != auto],
    [AC_MSG_ERROR([CUDA was asked for, and no nvcc was found that works: say where it is with --with-cuda=DIR, or leave it
  out with --without-cuda])])
  # A kernel that spills is slow without being wrong: nobody would notice.
  AS_VAR_IF([enable_werror], [yes], [DMS_PTXAS_FLAGS=,--warning-as-error], [DMS_PTXAS_FLAGS=])
  AC_SUBST([DMS_PTXAS_FLAGS])
  AM_CONDITIONAL([CUDA], [test "$dms_cuda" != no])
])
