// Help texts, as folds over the table of commands.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/topics.hpp"

namespace vmbackup::cli {

// "kubectl vmbackup snapshot VM [flags]". `program`: how the user calls us.
std::string usage_line(const Command& command, const Flags& flags, const std::string& program);

// All commands under their headings.
std::string overview(const std::vector<Command>& commands, const std::string& program);

std::string command_help(const Command& command, const std::string& program, std::size_t width = 100);

std::string topic_help(const Topic& topic, const std::string& program, std::size_t width = 100);

// "-o, --output FORMAT" and the text beside it, defaults and choices included.
std::string flag_spelling(const Flag& flag);
std::string flag_text(const Flag& flag);

// The flags of one heading that help shows for this command, in order.
std::vector<const Flag*> shown_flags(const Command& command, const Flags& flags, FlagGroup group);
const char* to_string(FlagGroup group);

}  // namespace vmbackup::cli
