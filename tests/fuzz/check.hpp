// What must hold, or the input is a find.
#pragma once

#include <cstddef>
#include <cstdint>

// Every entry point defines it. libFuzzer calls it, or driver.cpp where the compiler has no libFuzzer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vmbackup::fuzz {

// Prints `what` and ends the program where `holds` is false.
void require(bool holds, const char* what);

}  // namespace vmbackup::fuzz
