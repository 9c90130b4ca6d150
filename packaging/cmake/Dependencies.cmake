# Third-party libraries, each behind one INTERFACE target of ours, so that a layer names what it may use.
find_package(PkgConfig REQUIRED)

# Says which Debian package is missing, instead of a bare "not found".
function(vmbackup_require_header name header package)
  find_path(${name}_INCLUDE_DIR ${header})
  mark_as_advanced(${name}_INCLUDE_DIR)
  if(NOT ${name}_INCLUDE_DIR)
    message(FATAL_ERROR "${header} was not found. On Debian or Ubuntu: apt-get install ${package}")
  endif()
endfunction()

# RapidJSON and CLI11: headers only.
vmbackup_require_header(rapidjson rapidjson/document.h rapidjson-dev)
add_library(vmbackup_rapidjson INTERFACE)
target_include_directories(vmbackup_rapidjson SYSTEM INTERFACE ${rapidjson_INCLUDE_DIR})

vmbackup_require_header(cli11 CLI/CLI.hpp libcli11-dev)
add_library(vmbackup_cli11 INTERFACE)
target_include_directories(vmbackup_cli11 SYSTEM INTERFACE ${cli11_INCLUDE_DIR})

# yaml-cpp: its CMake target names the shared library, so the archive is looked up by file name.
vmbackup_require_header(yaml_cpp yaml-cpp/yaml.h libyaml-cpp-dev)
if(VMBACKUP_STATIC)
  find_library(yaml_cpp_LIBRARY NAMES libyaml-cpp.a REQUIRED)
else()
  find_library(yaml_cpp_LIBRARY NAMES yaml-cpp REQUIRED)
endif()
mark_as_advanced(yaml_cpp_LIBRARY)
add_library(vmbackup_yaml INTERFACE)
target_include_directories(vmbackup_yaml SYSTEM INTERFACE ${yaml_cpp_INCLUDE_DIR})
target_link_libraries(vmbackup_yaml INTERFACE ${yaml_cpp_LIBRARY})

# libcurl: the distribution's, or our own small one.
add_library(vmbackup_curl INTERFACE)
if(VMBACKUP_USE_BUNDLED_CURL)
  include(BundledCurl)
  target_link_libraries(vmbackup_curl INTERFACE vmbackup_bundled_curl)
  set(vmbackup_curl_text "bundled ${VMBACKUP_BUNDLED_CURL_VERSION}, ${VMBACKUP_BUNDLED_CURL_ORIGIN}")
else()
  find_package(CURL 7.88.1 REQUIRED)
  target_link_libraries(vmbackup_curl INTERFACE CURL::libcurl)
  set(vmbackup_curl_text "system ${CURL_VERSION_STRING}")
endif()

if(BUILD_TESTING)
  # doctest for the unit tests; nghttp2 and OpenSSL for the sandbox server.
  vmbackup_require_header(doctest doctest/doctest.h doctest-dev)
  add_library(vmbackup_doctest INTERFACE)
  target_include_directories(vmbackup_doctest SYSTEM INTERFACE ${doctest_INCLUDE_DIR})

  pkg_check_modules(vmbackup_server_pc REQUIRED IMPORTED_TARGET libnghttp2 openssl)
  add_library(vmbackup_server_libs INTERFACE)
  target_link_libraries(vmbackup_server_libs INTERFACE PkgConfig::vmbackup_server_pc)
endif()
