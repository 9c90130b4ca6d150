#include "kube/mailbox.hpp"

#include <utility>

namespace vmbackup::kube {

void Mailbox::open_reader(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void Mailbox::close_reader() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
}

bool Mailbox::begin(std::shared_ptr<Exchange> exchange) {
  const std::lock_guard lock(mutex_);
  if (mail_.closed) return false;
  mail_.begun.push_back(std::move(exchange));
  if (wake_) wake_();
  return true;
}

void Mailbox::drop(std::shared_ptr<Exchange> exchange, bool too_slow) {
  const std::lock_guard lock(mutex_);
  if (mail_.closed) return;
  mail_.dropped.push_back({std::move(exchange), too_slow});
  if (wake_) wake_();
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  mail_.closed = true;
  if (wake_) wake_();
}

Mailbox::Mail Mailbox::collect() {
  const std::lock_guard lock(mutex_);
  Mail mail = std::exchange(mail_, Mail{});
  mail_.closed = mail.closed;
  return mail;
}

}  // namespace vmbackup::kube
