// Small files that others read while they are written: replaced as a whole, never seen half.
#pragma once

#include <functional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::base {

// Whether `path` can be replaced: its folder exists and may be written, and it is a regular file or nothing. Nothing is made. usage: why
// not.
Result<void> check_replaceable(const std::string& path);

// What is in a regular file. Nothing there gives the empty text. invalid: it is no regular file (a link neither), or longer than `most`
// bytes; unavailable: the system's reason.
Result<std::string> read_small_file(const std::string& path, std::size_t most);

// Reads the file, gives its text to `change` and puts what that returns in its place: written to a file beside it whose name begins with a
// dot, flushed to the disk and renamed, with mode 0644. Others who do the same in that folder are waited for, at most two seconds, and then
// no more. An error of `change`, and those of read_small_file, leave everything as it was; so does unavailable: it could not be written.
Result<void> update_file(const std::string& path, std::size_t most, Clock& clock,
                         const std::function<Result<std::string>(const std::string& before)>& change);

}  // namespace vmbackup::base
