# DMS_REQUIRE_LIBRARY(NAME, HEADER, CONDITION, FUNCTION, LIBRARY, DEBIAN-PACKAGE)
#
# Adds -lLIBRARY to LIBS when HEADER is there, CONDITION (a preprocessor expression on its macros) holds and FUNCTION links.
# Otherwise remembers what is missing, so that DMS_REQUIRED_LIBRARIES_FOUND can name everything at once.
AC_DEFUN([DMS_REQUIRE_LIBRARY], [
  AC_MSG_CHECKING([for $1 or later])
  dms_saved_LIBS=$LIBS
  LIBS="-l$5 $LIBS"
  AC_LINK_IFELSE(
    [AC_LANG_PROGRAM([[
#include <$2>
#if !($3)
#error "too old"
#endif
]], [[return (void *)$4 == (void *)0;]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     LIBS=$dms_saved_LIBS
     dms_missing_libraries="${dms_missing_libraries:+$dms_missing_libraries, }$1 ($2, -l$5)"
     dms_missing_packages="${dms_missing_packages:+$dms_missing_packages }$6"])
])

# DMS_REQUIRED_LIBRARIES_FOUND: stops with one message when any required library was missing.
AC_DEFUN([DMS_REQUIRED_LIBRARIES_FOUND], [
  AS_IF([test -n "$dms_missing_libraries"], [
    AC_MSG_ERROR([missing or too old: $dms_missing_libraries
  On Debian or Ubuntu:   apt-get install $dms_missing_packages
  Installed elsewhere:   ./configure CPPFLAGS=-I<DIR>/include LDFLAGS=-L<DIR>/lib
  config.log has the compiler's own words.])])
])
