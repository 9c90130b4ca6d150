# Every knob of this build, and its default.
option(VMBACKUP_STATIC "Link one static binary that needs nothing at run time (implies the bundled libcurl)" OFF)
option(VMBACKUP_WERROR "Turn warnings into errors; for developers and CI, never for packagers" OFF)
option(BUILD_TESTING "Build the tests" ON)
set(VMBACKUP_SANITIZE "" CACHE STRING "Sanitizers for all our code: 'address,undefined or thread; empty for none")
set(VMBACKUP_CURL "auto" CACHE STRING "libcurl: system, bundled, or auto (bundled when VMBACKUP_STATIC)")
set(VMBACKUP_CURL_SOURCE "" CACHE PATH "Unpacked curl source tree for the bundled libcurl")
set(VMBACKUP_CURL_ARCHIVE "" CACHE FILEPATH "Local copy of the pinned curl archive for the bundled libcurl")
set_property(CACHE VMBACKUP_SANITIZE PROPERTY STRINGS "" "address,undefined" "thread")
set_property(CACHE VMBACKUP_CURL PROPERTY STRINGS auto system bundled)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

if(NOT VMBACKUP_CURL MATCHES "^(auto|system|bundled)$")
  message(FATAL_ERROR "VMBACKUP_CURL is '${VMBACKUP_CURL}': use auto, system or bundled")
endif()
if(VMBACKUP_STATIC AND VMBACKUP_CURL STREQUAL "system")
  message(FATAL_ERROR "VMBACKUP_STATIC needs the bundled libcurl: no distribution ships a libcurl.a that links statically. "
                      "Leave VMBACKUP_CURL at auto.")
endif()
if(VMBACKUP_STATIC AND VMBACKUP_SANITIZE)
  message(FATAL_ERROR "VMBACKUP_STATIC and VMBACKUP_SANITIZE exclude each other: sanitizers cannot be linked statically")
endif()

# The choice behind `auto`: VMBACKUP_USE_BUNDLED_CURL.
if(VMBACKUP_CURL STREQUAL "bundled" OR (VMBACKUP_CURL STREQUAL "auto" AND VMBACKUP_STATIC))
  set(VMBACKUP_USE_BUNDLED_CURL ON)
else()
  set(VMBACKUP_USE_BUNDLED_CURL OFF)
endif()
