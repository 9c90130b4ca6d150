#include "certificates.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

namespace vmbackup::sandbox {

namespace {

constexpr long k_day = 24L * 3600;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

struct Subject {
  std::string name;          // CN
  std::string organisation;  // O, may be empty
  std::string alternatives;  // subjectAltName, may be empty
  bool ca = false;
  bool expired = false;
  bool names_key = true;  // has the identifier of its issuer's key
};

struct Pair {
  Key key{nullptr, EVP_PKEY_free};
  Certificate certificate{nullptr, X509_free};
};

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  if (extension == nullptr) return;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  if (value.empty()) return;
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

// Signed by `issuer`, or by itself where there is none. Empty members: OpenSSL refused.
Pair make_pair(const Subject& subject, const Pair* issuer) {
  Pair pair;
  pair.key.reset(EVP_EC_gen("P-256"));
  pair.certificate.reset(X509_new());
  X509* certificate = pair.certificate.get();
  if (!pair.key || certificate == nullptr) return {};
  unsigned char serial[8];
  RAND_bytes(serial, sizeof serial);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  X509_set_version(certificate, 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate), subject.expired ? -2 * k_day : -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), subject.expired ? -k_day : 365 * k_day);
  X509_set_pubkey(certificate, pair.key.get());
  X509_NAME* name = X509_get_subject_name(certificate);
  add_name(name, "O", subject.organisation);
  add_name(name, "CN", subject.name);
  X509* signer = issuer == nullptr ? certificate : issuer->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  add_extension(certificate, signer, NID_basic_constraints, subject.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(certificate, signer, NID_key_usage, subject.ca ? "critical,keyCertSign,digitalSignature" : "critical,digitalSignature");
  add_extension(certificate, signer, NID_subject_key_identifier, "hash");
  if (issuer != nullptr && subject.names_key) add_extension(certificate, signer, NID_authority_key_identifier, "keyid:always");
  if (!subject.ca) add_extension(certificate, signer, NID_ext_key_usage, subject.alternatives.empty() ? "clientAuth" : "serverAuth");
  if (!subject.alternatives.empty()) add_extension(certificate, signer, NID_subject_alt_name, subject.alternatives);
  EVP_PKEY* signing = issuer == nullptr ? pair.key.get() : issuer->key.get();
  if (X509_sign(certificate, signing, EVP_sha256()) == 0) return {};
  return pair;
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<std::size_t>(length));
  BIO_free(memory);
  return text;
}

KeyPair pem_of(const Pair& pair) {
  BIO* certificate = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate, pair.certificate.get());
  BIO* key = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(key, pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate), text_of(key)};
}

}  // namespace

base::Result<Certificates> make_certificates(ServerFault fault) {
  const Pair ca = make_pair({"vmbackup-sandbox", "", "", true, false}, nullptr);
  const Pair other = make_pair({"vmbackup-sandbox", "", "", true, false}, nullptr);
  if (!ca.certificate || !other.certificate) return base::Error(base::ErrorCode::internal, "cannot make a certificate authority");
  const std::string names = fault == ServerFault::wrong_name ? "DNS:elsewhere.example,IP:192.0.2.1" : "IP:127.0.0.1,IP:::1,DNS:localhost";
  const bool by_other = fault == ServerFault::other_ca || fault == ServerFault::other_key;
  const Pair server = make_pair({"kube-apiserver", "", names, false, fault == ServerFault::expired, fault != ServerFault::other_key},
                                by_other ? &other : &ca);
  const Pair admin = make_pair({"kubernetes-admin", "system:masters", "", false, false}, &ca);
  if (!server.certificate || !admin.certificate) return base::Error(base::ErrorCode::internal, "cannot make certificates");
  return Certificates{pem_of(ca).certificate_pem, pem_of(server), pem_of(admin)};
}

}  // namespace vmbackup::sandbox
