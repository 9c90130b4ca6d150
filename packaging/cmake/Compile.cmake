# How our own code is compiled: target vmbackup_compile, linked by every layer and test.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)  # for clang-tidy

find_package(Threads REQUIRED)

add_library(vmbackup_compile INTERFACE)
target_link_libraries(vmbackup_compile INTERFACE Threads::Threads)
target_compile_options(
  vmbackup_compile INTERFACE -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
                             $<$<BOOL:${VMBACKUP_WERROR}>:-Werror>)

if(VMBACKUP_STATIC)
  # So that the linker can drop what nobody calls: 6 % of the binary. -Os, after the build type's own level: our code waits for servers,
  # and is a fifth of the binary.
  target_compile_options(vmbackup_compile INTERFACE -ffunction-sections -fdata-sections -Os)
endif()

if(VMBACKUP_SANITIZE)
  target_compile_options(vmbackup_compile INTERFACE -fsanitize=${VMBACKUP_SANITIZE} -fno-sanitize-recover=all
                                                    -fno-omit-frame-pointer)
  target_link_options(vmbackup_compile INTERFACE -fsanitize=${VMBACKUP_SANITIZE})
endif()
