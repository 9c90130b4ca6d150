# Our own small libcurl: HTTP/1.1, HTTP/2, TLS, proxies, c-ares; nothing else. Target vmbackup_bundled_curl.
#
# The source comes from, in this order:
#   1. VMBACKUP_CURL_SOURCE, an unpacked tree (for instance with a distribution's security patches);
#   2. VMBACKUP_CURL_ARCHIVE, a local copy of the pinned archive;
#   3. the upstream release, checked against the pinned SHA256;
#   4. on Debian, the distribution's source package (packaging/fetch-curl).
include(ExternalProject)

set(curl_version 8.14.1)
set(curl_sha256 6766ada7101d292b42b8b15681120acd68effa4a9660935853cf6d61f0d984d4)
set(curl_url https://curl.se/download/curl-${curl_version}.tar.gz)
set(curl_dir ${PROJECT_BINARY_DIR}/curl)

function(unpack_curl archive)
  if(NOT EXISTS ${curl_dir}/curl-${curl_version}/CMakeLists.txt)
    file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${curl_dir})
  endif()
endfunction()

if(VMBACKUP_CURL_SOURCE)
  set(curl_source ${VMBACKUP_CURL_SOURCE})
  set(curl_origin "tree ${curl_source}")
elseif(VMBACKUP_CURL_ARCHIVE)
  if(NOT EXISTS ${VMBACKUP_CURL_ARCHIVE})
    message(FATAL_ERROR "VMBACKUP_CURL_ARCHIVE: ${VMBACKUP_CURL_ARCHIVE} does not exist")
  endif()
  file(SHA256 ${VMBACKUP_CURL_ARCHIVE} found)
  if(NOT found STREQUAL curl_sha256)
    message(FATAL_ERROR "VMBACKUP_CURL_ARCHIVE: ${VMBACKUP_CURL_ARCHIVE} is not curl-${curl_version}.tar.gz (SHA256 ${found}, "
                        "pinned ${curl_sha256}). For another version or a patched one, unpack it and set VMBACKUP_CURL_SOURCE.")
  endif()
  unpack_curl(${VMBACKUP_CURL_ARCHIVE})
  set(curl_source ${curl_dir}/curl-${curl_version})
  set(curl_origin "archive ${VMBACKUP_CURL_ARCHIVE}")
elseif(EXISTS ${curl_dir}/curl-${curl_version}/CMakeLists.txt)
  set(curl_source ${curl_dir}/curl-${curl_version})
  set(curl_origin "upstream release")
elseif(EXISTS ${curl_dir}/debian/CMakeLists.txt)
  set(curl_source ${curl_dir}/debian)
  set(curl_origin "Debian's source package")
else()
  set(archive ${curl_dir}/curl-${curl_version}.tar.gz)
  message(STATUS "Fetching ${curl_url}")
  file(DOWNLOAD ${curl_url} ${archive} TIMEOUT 60 INACTIVITY_TIMEOUT 8 STATUS status)
  list(GET status 0 code)
  list(GET status 1 reason)
  if(code EQUAL 0)
    file(SHA256 ${archive} found)
    if(NOT found STREQUAL curl_sha256)
      set(code 1)
      set(reason "what arrived has the SHA256 ${found}, pinned is ${curl_sha256}")
    endif()
  endif()
  if(code EQUAL 0)
    unpack_curl(${archive})
    set(curl_source ${curl_dir}/curl-${curl_version})
    set(curl_origin "upstream release")
  else()
    file(REMOVE ${archive})
    message(STATUS "Fetching ${curl_url} - failed: ${reason}")
    message(STATUS "Fetching Debian's curl source package")
    execute_process(COMMAND ${PROJECT_SOURCE_DIR}/packaging/fetch-curl ${curl_dir} RESULT_VARIABLE code ERROR_VARIABLE errors
                    OUTPUT_VARIABLE curl_source OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "The source of libcurl ${curl_version} could not be had.\n"
                          "Upstream: ${reason}\nDebian: ${errors}"
                          "Give a local copy of ${curl_url} with -DVMBACKUP_CURL_ARCHIVE=FILE, or an unpacked tree with "
                          "-DVMBACKUP_CURL_SOURCE=DIR, or build against the system's libcurl: "
                          "-DVMBACKUP_STATIC=OFF -DVMBACKUP_CURL=system.")
    endif()
    set(curl_origin "Debian's source package")
    if(curl_source MATCHES "/release$")
      message(WARNING "${errors}")
      set(curl_origin "upstream release, without Debian's security patches")
    endif()
  endif()
endif()

if(NOT EXISTS ${curl_source}/include/curl/curlver.h)
  message(FATAL_ERROR "${curl_source} is not an unpacked curl source tree: include/curl/curlver.h is missing")
endif()
file(STRINGS ${curl_source}/include/curl/curlver.h version_line REGEX "^#define LIBCURL_VERSION ")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" VMBACKUP_BUNDLED_CURL_VERSION "${version_line}")
set(VMBACKUP_BUNDLED_CURL_ORIGIN ${curl_origin})

# What libcurl needs from the distribution. PKG_CONFIG_ARGN makes the answer complete for archives: on Debian 13 libcrypto.a
# needs zstd, and only `pkg-config --static` says so.
set(PKG_CONFIG_ARGN --static)
pkg_check_modules(vmbackup_curl_pc REQUIRED libnghttp2 libcares openssl zlib)
unset(PKG_CONFIG_ARGN)

# Measured: -O2 without LTO; -Os and LTO win less than 2 % because the mass is OpenSSL's prebuilt archive.
# Verbose strings and socket pairs stay on: error texts and wake-ups need them.
set(curl_install ${curl_dir}/install)
set(curl_library ${curl_install}/lib/libcurl.a)
set(curl_args
    -DCMAKE_INSTALL_PREFIX=${curl_install} -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_POSITION_INDEPENDENT_CODE=ON
    "-DCMAKE_C_FLAGS=${CMAKE_C_FLAGS} -ffunction-sections -fdata-sections"
    -DBUILD_SHARED_LIBS=OFF -DBUILD_STATIC_LIBS=ON -DBUILD_CURL_EXE=OFF -DBUILD_LIBCURL_DOCS=OFF -DBUILD_MISC_DOCS=OFF
    -DENABLE_CURL_MANUAL=OFF -DBUILD_TESTING=OFF -DBUILD_EXAMPLES=OFF -DPICKY_COMPILER=OFF
    -DHTTP_ONLY=ON -DCURL_USE_OPENSSL=ON -DUSE_NGHTTP2=ON -DENABLE_ARES=ON -DCURL_ZLIB=ON -DCURL_BROTLI=OFF -DCURL_ZSTD=OFF
    -DUSE_LIBIDN2=OFF -DCURL_USE_LIBPSL=OFF -DCURL_USE_LIBSSH2=OFF -DCURL_USE_GSSAPI=OFF
    -DCURL_DISABLE_NTLM=ON -DCURL_DISABLE_KERBEROS_AUTH=ON -DCURL_DISABLE_NEGOTIATE_AUTH=ON -DCURL_DISABLE_DIGEST_AUTH=ON
    -DCURL_DISABLE_AWS=ON -DCURL_DISABLE_DOH=ON -DCURL_DISABLE_ALTSVC=ON -DCURL_DISABLE_HSTS=ON -DCURL_DISABLE_COOKIES=ON
    -DCURL_DISABLE_NETRC=ON -DCURL_DISABLE_MIME=ON -DCURL_DISABLE_FORM_API=ON -DCURL_DISABLE_SRP=ON
    -DCURL_DISABLE_PROGRESS_METER=ON -DCURL_DISABLE_SHA512_256=ON -DCURL_DISABLE_OPENSSL_AUTO_LOAD_CONFIG=ON
    -DCURL_CA_BUNDLE=none -DCURL_CA_PATH=none)
foreach(pass_on CMAKE_C_COMPILER_LAUNCHER CMAKE_TOOLCHAIN_FILE CMAKE_MAKE_PROGRAM)
  if(${pass_on})
    list(APPEND curl_args -D${pass_on}=${${pass_on}})
  endif()
endforeach()

string(MD5 curl_source_id ${curl_source})  # another source is another build
ExternalProject_Add(
  bundled_curl
  SOURCE_DIR ${curl_source}
  BINARY_DIR ${curl_dir}/build-${curl_source_id}
  STAMP_DIR ${curl_dir}/stamp-${curl_source_id}
  TMP_DIR ${curl_dir}/tmp
  LOG_DIR ${curl_dir}/log
  CMAKE_ARGS ${curl_args}
  BUILD_BYPRODUCTS ${curl_library}
  DOWNLOAD_COMMAND "" UPDATE_COMMAND ""
  LOG_CONFIGURE ON LOG_BUILD ON LOG_INSTALL ON LOG_OUTPUT_ON_FAILURE ON)

add_library(vmbackup_bundled_curl INTERFACE)
add_dependencies(vmbackup_bundled_curl bundled_curl)
target_compile_definitions(vmbackup_bundled_curl INTERFACE CURL_STATICLIB)
target_include_directories(vmbackup_bundled_curl SYSTEM INTERFACE ${curl_install}/include)
target_link_directories(vmbackup_bundled_curl INTERFACE ${vmbackup_curl_pc_STATIC_LIBRARY_DIRS})
target_link_libraries(vmbackup_bundled_curl INTERFACE ${curl_library} ${vmbackup_curl_pc_STATIC_LIBRARIES})
