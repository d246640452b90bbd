// SPDX-License-Identifier: Apache-2.0
// SAs and policies as they lie in memory that two processes share: the memfd beside a keying call, and the memory in which the gateway
// keeps its SAs for the process that comes after it. Integers are in host order, addresses in network order; octets without a meaning are
// zero. Enumerators of gateway/sa lie there as their numbers, so those never change.
//
// A call is one memfd: CallHeader, then its tables without gaps, in the order of CallHeader's counts. Whoever changes a structure here
// raises `version`.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sallyport::record {

inline constexpr std::uint32_t version = 4;
/// The one before, which the gateway still reads where a process left it: packed (gateway/store/sa_records.cpp), an SaRecord of it is one
/// whose last words are 0.
inline constexpr std::uint32_t version_before = 3;
inline constexpr std::uint64_t magic = 0x7364726f63657253; // "Srecords" in the memory of a little-endian machine
inline constexpr std::size_t name_size = 64;               // octets, the last one zero

using Name = std::array<char, name_size>;
using Octets = std::array<std::uint8_t, 16>; // of an address; one of IPv4 lies in the first four

struct SelectorRecord {
    Octets local_first, local_last, remote_first, remote_last;
    std::array<std::uint16_t, 2> local_ports, remote_ports; // first, last
    std::uint8_t family;                                    // 4 or 6, of all four addresses
    std::uint8_t protocol;                                  // 0: any
    std::array<std::uint8_t, 6> zero;
};

struct SaRecord {
    Name name; // of the connection
    std::uint64_t generation;
    std::uint32_t child;
    std::uint32_t spi;
    std::uint32_t window;
    std::uint32_t dummies_per_second;
    std::uint32_t first_selector, selectors; // in the table of selectors
    std::uint16_t outer_vpn, red_vpn;
    std::uint16_t mtu;
    std::int16_t owner;
    Octets outer_local, outer_remote;
    std::uint8_t outer_family; // 4 or 6
    std::uint8_t direction, algorithm, sequence;
    std::uint8_t dscp, dscp_value, df, hop_limit;
    std::uint8_t manual; // 0 or 1
    std::uint8_t key_size;
    std::uint16_t clamp_mss;
    std::uint8_t fragment;
    std::uint8_t protocol, mode;
    std::uint8_t zero;
    std::array<std::uint8_t, maximum_key_material> key;
    std::uint16_t udp_port, keepalive;
    std::uint16_t tfc_padding;
    std::uint8_t jitter;
    std::uint8_t more_zero;
    std::array<std::uint64_t, 3> soft, hard; // packets, octets, seconds
    std::uint64_t begun;                     // a call leaves it 0
    std::uint16_t idle;                      // seconds
    std::uint8_t follow;                     // 0 or 1
    std::array<std::uint8_t, 5> last_zero;
    Octets original_local, original_remote; // zeros: none
};

struct PolicyRecord {
    Name name;
    Name sa; // connection, with protect; else zeros
    std::uint32_t priority;
    std::uint32_t first_selector, selectors;
    std::uint16_t vpn;
    std::uint8_t action;
    std::uint8_t reach;
};

/// An SA that goes.
struct RemovalRecord {
    Name name;
    std::uint32_t child;
    std::uint32_t drain; // milliseconds that an inbound SA still receives, at most longest_drain; outbound: 0
    std::uint8_t direction;
    std::array<std::uint8_t, 7> zero;
};

struct CallHeader {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t size; // octets of the whole
    // Entries of the tables that follow, in this order:
    std::uint32_t installs, updates; // SaRecord
    std::uint32_t removals;          // RemovalRecord
    std::uint32_t policies;          // PolicyRecord
    std::uint32_t policy_removals;   // Name
    std::uint32_t selectors;         // SelectorRecord
    std::array<std::uint64_t, 3> zero;
};

static_assert(sizeof(SelectorRecord) == 80 && sizeof(SaRecord) == 352 && sizeof(PolicyRecord) == 144 && sizeof(RemovalRecord) == 80 &&
              sizeof(CallHeader) == 64);
static_assert(std::has_unique_object_representations_v<SelectorRecord> && std::has_unique_object_representations_v<SaRecord> &&
              std::has_unique_object_representations_v<PolicyRecord> && std::has_unique_object_representations_v<RemovalRecord> &&
              std::has_unique_object_representations_v<CallHeader>); // no octet between the members

// At most so many in one call.
inline constexpr std::uint32_t most_sas = 16384;      // installs, updates and removals together
inline constexpr std::uint32_t most_policies = 16384; // with their removals
inline constexpr std::uint32_t most_selectors = 262144;
inline constexpr std::uint32_t longest_drain = 3'600'000; // milliseconds
inline constexpr std::size_t largest_call = sizeof(CallHeader) + most_sas * sizeof(SaRecord) + most_policies * sizeof(PolicyRecord) +
                                            most_selectors * sizeof(SelectorRecord); // octets

/// Which SA leaves, and when.
struct Removal {
    std::string name;
    Direction direction = Direction::outbound;
    std::uint32_t child = 0;
    std::uint32_t drain = 0; // milliseconds
    bool operator==(const Removal&) const = default;
};

/// What one call asks for.
struct Changes {
    std::vector<SaSpec> install, update; // with their keys
    std::vector<Removal> remove;
    std::vector<PolicySpec> policies; // new ones, and those that take the place of one with the same name
    std::vector<std::string> remove_policies;

    [[nodiscard]] std::size_t sas() const { return install.size() + update.size() + remove.size(); }
};

/// One SA. `first_selector`: where its selectors lie, which are made by the other store(). Error invalid: its name has no place.
[[nodiscard]] Result<void> store(const SaSpec& sa, std::uint32_t first_selector, SaRecord& record);
void store(const Selector& selector, SelectorRecord& record);

[[nodiscard]] Result<void> store(const PolicySpec& policy, std::uint32_t first_selector, PolicyRecord& record);

/// Takes any octets. Error: the place is the field ("spi"), the sentence says what is out of range.
[[nodiscard]] Result<Selector> load(const SelectorRecord& record);
[[nodiscard]] Result<SaSpec> load(const SaRecord& record, std::span<const Selector> selectors); // the table that it points into
[[nodiscard]] Result<PolicySpec> load(const PolicyRecord& record, std::span<const Selector> selectors);

/// The octets of a call; they hold keys: into locked memory with them. Error exhausted: more than a call takes; invalid: a bad name.
[[nodiscard]] Result<std::size_t> encoded_size(const Changes& changes);
[[nodiscard]] Result<void> encode(const Changes& changes, std::span<std::uint8_t> octets); // encoded_size() of them

/// Takes any octets, at any alignment. All or nothing. Error: the place is table, index and field, as in "install[3] spi".
[[nodiscard]] Result<Changes> decode(std::span<const std::uint8_t> octets);

} // namespace sallyport::record
