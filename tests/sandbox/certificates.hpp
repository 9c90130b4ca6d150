// A certificate authority that lives as long as the process, and what it signs.
#pragma once

#include <string>

#include "base/result.hpp"

namespace vmbackup::sandbox {

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

struct Certificates {
  std::string ca_pem;
  KeyPair server;  // for 127.0.0.1, ::1 and localhost
  KeyPair admin;   // CN kubernetes-admin, O system:masters
};

enum class ServerFault { none, expired, wrong_name, other_ca, other_key };

// internal: OpenSSL refused.
base::Result<Certificates> make_certificates(ServerFault fault);

}  // namespace vmbackup::sandbox
