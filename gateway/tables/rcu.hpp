// SPDX-License-Identifier: Apache-2.0
// Read-copy-update by liburcu's quiescent-state flavour, the only place that names it. ThreadSanitizer does not see through liburcu's own
// barriers, so what a quiescent state hands over is told to it here.
#pragma once

#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define SALLYPORT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SALLYPORT_TSAN 1
#endif
#endif
#ifdef SALLYPORT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace sallyport::rcu {

#ifdef SALLYPORT_TSAN
inline char grace_tag;

inline void leaving() { __tsan_release(&grace_tag); }

inline void entered_after_all() { __tsan_acquire(&grace_tag); }
#else
inline void leaving() {}

inline void entered_after_all() {}
#endif

/// A thread that reads published tables holds one for as long as it reads. It begins online.
class Reader {
public:
    Reader() { urcu_qsbr_register_thread(); }
    ~Reader() {
        leaving();
        urcu_qsbr_unregister_thread();
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
};

/// This thread holds no pointer into a published table at this moment. Without a Reader in this thread: nothing.
inline void quiescent() {
    leaving();
    urcu_qsbr_quiescent_state();
}

/// Around a sleep: nobody waits for this thread meanwhile, and it may hold no pointer into a published table.
inline void offline() {
    leaving();
    urcu_qsbr_thread_offline();
}

inline void online() { urcu_qsbr_thread_online(); }

/// Returns when every reader has passed a quiescent state: what was taken out of the tables before the call may be freed.
inline void synchronize() {
    urcu_qsbr_synchronize_rcu();
    entered_after_all();
}

} // namespace sallyport::rcu
