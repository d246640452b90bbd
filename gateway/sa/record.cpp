// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/record.hpp"

#include "gateway/sa/name.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

namespace sallyport::record {

namespace {

Error out_of_range(const char* field, std::string sentence) { return {ErrorCode::invalid, std::move(sentence), field, {}}; }

std::unexpected<Error> wrong(const char* field, std::string sentence) { return std::unexpected(out_of_range(field, std::move(sentence))); }

std::unexpected<Error> not_zero() { return wrong("zero", "octets without a meaning are not zero"); }

template <class Array>
bool all_zero(const Array& array) {
    return std::ranges::all_of(array, [](auto element) { return element == 0; });
}

/// The enumerator of a number, if it is at most `last`.
template <class Enum>
bool take(std::uint8_t number, Enum last, Enum& value) {
    if (number > static_cast<std::uint8_t>(last)) return false;
    value = static_cast<Enum>(number);
    return true;
}

std::optional<std::string> load_name(const Name& name) {
    const std::string_view all(name.data(), name.size());
    const std::size_t length = all.find('\0');
    if (length == std::string_view::npos || all.find_first_not_of('\0', length) != std::string_view::npos) return std::nullopt;
    if (!good_name(all.substr(0, length))) return std::nullopt;
    return std::string(all.substr(0, length));
}

std::unexpected<Error> wrong_name(const char* field = "name") {
    return wrong(field, "a name is 1 to 63 letters, digits, '.', '_' or '-', a letter or digit first, then zeros");
}

bool store_name(std::string_view name, Name& to) {
    to.fill('\0');
    if (!good_name(name)) return false;
    std::ranges::copy(name, to.begin());
    return true;
}

std::optional<Family> load_family(std::uint8_t family) {
    if (family == 4) return Family::ipv4;
    if (family == 6) return Family::ipv6;
    return std::nullopt;
}

/// False: an IPv4 address with more than four octets.
bool load_address(const Octets& octets, Family family, Address& to) {
    to = {octets, family};
    return family == Family::ipv6 || all_zero(std::span(octets).subspan(4));
}

bool load_range(const Octets& first, const Octets& last, Family family, AddressRange& to) {
    return load_address(first, family, to.first) && load_address(last, family, to.last) && first <= last;
}

bool load_ports(const std::array<std::uint16_t, 2>& ports, PortRange& to) {
    to = {ports[0], ports[1]};
    return to.first <= to.last || to.opaque();
}

Result<std::vector<Selector>> load_selectors(std::uint32_t first, std::uint32_t count, std::span<const Selector> table) {
    if (first > table.size()) return wrong("first_selector", "it lies behind the table of selectors");
    if (count > table.size() - first) return wrong("selectors", "they reach behind the table of selectors");
    if (count == 0) return wrong("selectors", "there is no selector: nothing could match");
    return std::vector<Selector>(table.begin() + first, table.begin() + first + count);
}

Result<void> load_outer(const SaRecord& record, SaSpec& sa) {
    const auto family = load_family(record.outer_family);
    if (!family) return wrong("outer_family", "a family is 4 or 6");
    if (!load_address(record.outer_local, *family, sa.outer_local)) return wrong("outer_local", "an IPv4 address has four octets");
    if (!load_address(record.outer_remote, *family, sa.outer_remote)) return wrong("outer_remote", "an IPv4 address has four octets");
    for (const auto& [octets, address] :
         {std::pair(&record.original_local, &sa.original_local), std::pair(&record.original_remote, &sa.original_remote)})
        if (!all_zero(*octets) && !load_address(*octets, *family, *address)) return wrong("original", "an IPv4 address has four octets");
    if (!take(record.mode, SaMode::beet, sa.mode)) return wrong("mode", "there is no such mode");
    sa.outer_vpn = record.outer_vpn;
    sa.red_vpn = record.red_vpn;
    sa.mtu = record.mtu;
    sa.udp_port = record.udp_port;
    if (record.keepalive > longest_keepalive || (record.keepalive != 0 && record.udp_port == 0))
        return wrong("keepalive", "at most 3600 seconds, and only with a UDP port");
    sa.keepalive = record.keepalive;
    if (record.follow > 1 || (record.follow != 0 && record.udp_port == 0)) return wrong("follow", "it is 0 or 1, and only with a UDP port");
    sa.follow = record.follow == 1;
    if (!is_tfc_padding(record.tfc_padding)) return wrong("tfc_padding", "it is a multiple of 16 up to 4064, or 65535");
    sa.tfc_padding = record.tfc_padding;
    if (!take(record.dscp, DscpRule::set, sa.dscp)) return wrong("dscp", "there is no such rule for the DSCP");
    if (record.dscp_value > 63) return wrong("dscp_value", "a DSCP is at most 63");
    sa.dscp_value = record.dscp_value;
    if (!take(record.df, DfRule::clear, sa.df)) return wrong("df", "there is no such rule for DF");
    if (!take(record.fragment, FragmentRule::after, sa.fragment)) return wrong("fragment", "there is no such rule for fragments");
    sa.clamp_mss = record.clamp_mss;
    if (record.hop_limit == 0) return wrong("hop_limit", "the hop limit is 0");
    sa.hop_limit = record.hop_limit;
    return {};
}

Result<void> load_key(const SaRecord& record, SaSpec& sa) {
    if (record.algorithm >= algorithms.size()) return wrong("algorithm", "there is no such algorithm");
    sa.algorithm = static_cast<Algorithm>(record.algorithm);
    if (!take(record.protocol, SaProtocol::ah, sa.protocol)) return wrong("protocol", "there is no such protocol");
    if (record.key_size != info(sa.algorithm).material())
        return wrong("key_size", std::string(info(sa.algorithm).name) + " takes " + std::to_string(info(sa.algorithm).material()) +
                                     " octets of key material");
    if (!all_zero(std::span(record.key).subspan(record.key_size))) return not_zero();
    sa.key.size = record.key_size;
    sa.key.octets = record.key;
    return {};
}

Result<void> load_numbers(const SaRecord& record, SaSpec& sa) {
    if (record.spi < 256) return wrong("spi", "SPIs below 256 are reserved (RFC 4303 2.1)");
    sa.spi = record.spi;
    sa.child = record.child;
    sa.generation = record.generation;
    if (!take(record.sequence, SequenceKind::extended_64, sa.sequence)) return wrong("sequence", "there is no such kind of numbers");
    if (!std::has_single_bit(record.window) || record.window < 32 || record.window > 65536)
        return wrong("window", "the replay window is no power of two from 32 to 65536");
    sa.window = record.window;
    sa.dummies_per_second = record.dummies_per_second;
    if (record.owner < -1 || record.owner > 255) return wrong("owner", "a worker is 0 to 255, or -1");
    sa.owner = record.owner;
    return {};
}

Result<void> load_lifetimes(const SaRecord& record, SaSpec& sa) {
    sa.soft = {record.soft[0], record.soft[1], record.soft[2]};
    sa.hard = {record.hard[0], record.hard[1], record.hard[2]};
    for (std::size_t i = 0; i < record.soft.size(); ++i)
        if (record.soft[i] != 0 && record.hard[i] != 0 && record.soft[i] > record.hard[i])
            return wrong("soft", "a soft lifetime ends after the hard one");
    if (record.hard[2] > longest_life || record.soft[2] > longest_life) return wrong("hard", "a lifetime is at most 136 years");
    if (record.jitter > 100) return wrong("jitter", "it is a percentage");
    sa.jitter = record.jitter;
    sa.begun = record.begun;
    sa.idle = record.idle;
    return {};
}

} // namespace

static_assert(sizeof(Selector) == 78, "what a selector has must be in its record");

void store(const Selector& selector, SelectorRecord& record) {
    record = {.local_first = selector.local.first.octets,
              .local_last = selector.local.last.octets,
              .remote_first = selector.remote.first.octets,
              .remote_last = selector.remote.last.octets,
              .local_ports = {selector.local_ports.first, selector.local_ports.last},
              .remote_ports = {selector.remote_ports.first, selector.remote_ports.last},
              .family = static_cast<std::uint8_t>(selector.local.first.family),
              .protocol = selector.protocol,
              .zero = {}};
}

Result<Selector> load(const SelectorRecord& record) {
    const auto family = load_family(record.family);
    if (!family) return wrong("family", "a family is 4 or 6");
    Selector selector;
    if (!load_range(record.local_first, record.local_last, *family, selector.local))
        return wrong("local", "the range ends before it begins, or has octets beyond its family");
    if (!load_range(record.remote_first, record.remote_last, *family, selector.remote))
        return wrong("remote", "the range ends before it begins, or has octets beyond its family");
    if (!load_ports(record.local_ports, selector.local_ports)) return wrong("local_ports", "the range ends before it begins");
    if (!load_ports(record.remote_ports, selector.remote_ports)) return wrong("remote_ports", "the range ends before it begins");
    selector.protocol = record.protocol;
    if (!all_zero(record.zero)) return not_zero();
    if (const std::string_view why = fault(selector); !why.empty()) return wrong("protocol", std::string(why));
    return selector;
}

Result<void> store(const SaSpec& sa, std::uint32_t first_selector, SaRecord& record) {
    record = {.name = {},
              .generation = sa.generation,
              .child = sa.child,
              .spi = sa.spi,
              .window = sa.window,
              .dummies_per_second = sa.dummies_per_second,
              .first_selector = first_selector,
              .selectors = static_cast<std::uint32_t>(sa.selectors.size()),
              .outer_vpn = sa.outer_vpn,
              .red_vpn = sa.red_vpn,
              .mtu = sa.mtu,
              .owner = sa.owner,
              .outer_local = sa.outer_local.octets,
              .outer_remote = sa.outer_remote.octets,
              .outer_family = static_cast<std::uint8_t>(sa.outer_local.family),
              .direction = static_cast<std::uint8_t>(sa.direction),
              .algorithm = static_cast<std::uint8_t>(sa.algorithm),
              .sequence = static_cast<std::uint8_t>(sa.sequence),
              .dscp = static_cast<std::uint8_t>(sa.dscp),
              .dscp_value = sa.dscp_value,
              .df = static_cast<std::uint8_t>(sa.df),
              .hop_limit = sa.hop_limit,
              .manual = static_cast<std::uint8_t>(sa.manual ? 1 : 0),
              .key_size = sa.key.size,
              .clamp_mss = sa.clamp_mss,
              .fragment = static_cast<std::uint8_t>(sa.fragment),
              .protocol = static_cast<std::uint8_t>(sa.protocol),
              .mode = static_cast<std::uint8_t>(sa.mode),
              .zero = 0,
              .key = {},
              .udp_port = sa.udp_port,
              .keepalive = sa.keepalive,
              .tfc_padding = sa.tfc_padding,
              .jitter = sa.jitter,
              .more_zero = 0,
              .soft = {sa.soft.packets, sa.soft.octets, sa.soft.seconds},
              .hard = {sa.hard.packets, sa.hard.octets, sa.hard.seconds},
              .begun = sa.begun,
              .idle = sa.idle,
              .follow = static_cast<std::uint8_t>(sa.follow ? 1 : 0),
              .last_zero = {},
              .original_local = sa.original_local.octets,
              .original_remote = sa.original_remote.octets};
    std::memcpy(record.key.data(), sa.key.octets.data(), std::min<std::size_t>(sa.key.size, record.key.size()));
    if (!store_name(sa.name, record.name)) return wrong_name();
    if (sa.outer_local.family != sa.outer_remote.family) return wrong("outer_remote", "the outer addresses are of different families");
    return {};
}

Result<void> store(const PolicySpec& policy, std::uint32_t first_selector, PolicyRecord& record) {
    record = {.name = {},
              .sa = {},
              .priority = policy.priority,
              .first_selector = first_selector,
              .selectors = static_cast<std::uint32_t>(policy.selectors.size()),
              .vpn = policy.vpn,
              .action = static_cast<std::uint8_t>(policy.action),
              .reach = static_cast<std::uint8_t>(policy.reach)};
    if (!store_name(policy.name, record.name)) return wrong_name();
    if (policy.action == PolicyAction::protect && !store_name(policy.sa, record.sa)) return wrong_name("sa");
    return {};
}

Result<SaSpec> load(const SaRecord& record, std::span<const Selector> selectors) {
    SaSpec sa;
    auto name = load_name(record.name);
    if (!name) return wrong_name();
    sa.name = std::move(*name);
    if (!take(record.direction, Direction::inbound, sa.direction)) return wrong("direction", "a direction is 0 or 1");
    for (const auto part : {load_numbers, load_outer, load_key, load_lifetimes})
        if (auto good = part(record, sa); !good) return std::unexpected(std::move(good.error()));
    if (record.manual > 1) return wrong("manual", "it is 0 or 1");
    sa.manual = record.manual == 1;
    if (record.zero != 0 || record.more_zero != 0 || !all_zero(record.last_zero)) return not_zero();
    auto list = load_selectors(record.first_selector, record.selectors, selectors);
    if (!list) return std::unexpected(std::move(list.error()));
    sa.selectors = std::move(*list);
    if (const std::string_view why = fault(sa); !why.empty()) return wrong("mode", std::string(why));
    return sa;
}

Result<PolicySpec> load(const PolicyRecord& record, std::span<const Selector> selectors) {
    PolicySpec policy;
    auto name = load_name(record.name);
    if (!name) return wrong_name();
    policy.name = std::move(*name);
    if (!take(record.action, PolicyAction::discard, policy.action)) return wrong("action", "there is no such action");
    if (policy.action == PolicyAction::protect) {
        auto sa = load_name(record.sa);
        if (!sa) return wrong_name("sa");
        policy.sa = std::move(*sa);
    } else if (!all_zero(record.sa))
        return wrong("sa", "only a policy that protects names a connection");
    policy.priority = record.priority;
    policy.vpn = record.vpn;
    if (!take(record.reach, PolicyReach::inbound, policy.reach)) return wrong("reach", "there is no such reach");
    if (policy.action == PolicyAction::protect && policy.reach != PolicyReach::both)
        return wrong("reach", "a policy that protects speaks of both directions");
    auto list = load_selectors(record.first_selector, record.selectors, selectors);
    if (!list) return std::unexpected(std::move(list.error()));
    policy.selectors = std::move(*list);
    return policy;
}

namespace {

Result<Removal> load(const RemovalRecord& record) {
    Removal removal;
    auto name = load_name(record.name);
    if (!name) return wrong_name();
    removal.name = std::move(*name);
    if (!take(record.direction, Direction::inbound, removal.direction)) return wrong("direction", "a direction is 0 or 1");
    if (record.drain > (removal.direction == Direction::inbound ? longest_drain : 0))
        return wrong("drain", "an inbound SA drains at most an hour, an outbound one not at all");
    removal.child = record.child;
    removal.drain = record.drain;
    if (!all_zero(record.zero)) return not_zero();
    return removal;
}

/// The tables of a call, one behind the other.
class Tables {
public:
    explicit Tables(std::span<const std::uint8_t> octets) : rest_(octets) {}

    /// The next one, taken apart entry by entry; `name` is its name in errors.
    template <class Record, class T, class F>
    Result<std::vector<T>> take(const char* name, std::uint32_t count, F load_one) {
        std::vector<T> result;
        result.reserve(count);
        Record record;
        for (std::uint32_t i = 0; i < count; ++i) {
            std::memcpy(&record, rest_.data(), sizeof record);
            rest_ = rest_.subspan(sizeof record);
            auto one = load_one(record);
            if (!one) {
                explicit_bzero(&record, sizeof record);
                one.error().place = std::string(name) + "[" + std::to_string(i) + "] " + one.error().place;
                return std::unexpected(std::move(one.error()));
            }
            result.push_back(std::move(*one));
        }
        explicit_bzero(&record, sizeof record); // it may have held a key
        return result;
    }

private:
    std::span<const std::uint8_t> rest_;
};

std::uint64_t size_of(const CallHeader& header) {
    return sizeof(CallHeader) + (std::uint64_t{header.installs} + header.updates) * sizeof(SaRecord) +
           std::uint64_t{header.removals} * sizeof(RemovalRecord) + std::uint64_t{header.policies} * sizeof(PolicyRecord) +
           std::uint64_t{header.policy_removals} * sizeof(Name) + std::uint64_t{header.selectors} * sizeof(SelectorRecord);
}

Result<void> check(const CallHeader& header) {
    const auto too_many = [](const char* field, std::uint32_t most) {
        return std::unexpected(Error{ErrorCode::exhausted, "one call takes at most " + std::to_string(most), std::string("header ") + field,
                                     "make several calls of one generation"});
    };
    if (std::uint64_t{header.installs} + header.updates + header.removals > most_sas) return too_many("installs", most_sas);
    if (std::uint64_t{header.policies} + header.policy_removals > most_policies) return too_many("policies", most_policies);
    if (header.selectors > most_selectors) return too_many("selectors", most_selectors);
    return {};
}

Result<CallHeader> load_header(std::span<const std::uint8_t> octets) {
    CallHeader header;
    if (octets.size() < sizeof header) return wrong("header", "the memory is smaller than its header");
    std::memcpy(&header, octets.data(), sizeof header);
    if (header.magic != magic) return wrong("header magic", "these are no records");
    if (header.version != version)
        return std::unexpected(Error{ErrorCode::unsupported,
                                     "the records are of version " + std::to_string(header.version) + ", not " + std::to_string(version),
                                     "header version", "use programs of one release"});
    if (header.size != octets.size()) return wrong("header size", "it is not the size of the memory");
    if (!all_zero(header.zero)) return wrong("header zero", "octets without a meaning are not zero");
    if (auto good = check(header); !good) return std::unexpected(std::move(good.error()));
    if (size_of(header) != octets.size()) return wrong("header size", "the counts of the tables make another size");
    return header;
}

template <class T>
bool put(std::expected<std::vector<T>, Error>&& from, std::vector<T>& to, Error& error) {
    if (from)
        to = std::move(*from);
    else
        error = std::move(from.error());
    return from.has_value();
}

/// The last table, which the others point into.
Result<std::vector<Selector>> selectors_of(std::span<const std::uint8_t> octets, const CallHeader& header) {
    Tables table(octets.last(header.selectors * sizeof(SelectorRecord)));
    return table.take<SelectorRecord, Selector>("selector", header.selectors, [](const SelectorRecord& record) { return load(record); });
}

} // namespace

Result<Changes> decode(std::span<const std::uint8_t> octets) {
    const auto header = load_header(octets);
    if (!header) return std::unexpected(header.error());
    const auto selectors = selectors_of(octets, *header);
    if (!selectors) return std::unexpected(selectors.error());
    const auto sa = [&](const SaRecord& record) { return load(record, *selectors); };
    const auto policy = [&](const PolicyRecord& record) { return load(record, *selectors); };
    const auto removal = [](const RemovalRecord& record) { return load(record); };
    const auto name = [](const Name& record) -> Result<std::string> {
        auto good = load_name(record);
        if (!good) return wrong_name();
        return std::move(*good);
    };
    Tables tables(octets.subspan(sizeof(CallHeader)));
    Changes changes;
    Error error;
    if (!put(tables.take<SaRecord, SaSpec>("install", header->installs, sa), changes.install, error) ||
        !put(tables.take<SaRecord, SaSpec>("update", header->updates, sa), changes.update, error) ||
        !put(tables.take<RemovalRecord, Removal>("remove", header->removals, removal), changes.remove, error) ||
        !put(tables.take<PolicyRecord, PolicySpec>("policy", header->policies, policy), changes.policies, error) ||
        !put(tables.take<Name, std::string>("remove-policy", header->policy_removals, name), changes.remove_policies, error))
        return std::unexpected(std::move(error));
    return changes;
}

namespace {

Result<CallHeader> header_of(const Changes& changes) {
    std::uint64_t selectors = 0;
    for (const auto* list : {&changes.install, &changes.update})
        for (const SaSpec& sa : *list) selectors += sa.selectors.size();
    for (const PolicySpec& policy : changes.policies) selectors += policy.selectors.size();
    const auto count = [](std::uint64_t number) { return static_cast<std::uint32_t>(std::min<std::uint64_t>(number, 0xffffffff)); };
    CallHeader header{.magic = magic,
                      .version = version,
                      .size = 0,
                      .installs = count(changes.install.size()),
                      .updates = count(changes.update.size()),
                      .removals = count(changes.remove.size()),
                      .policies = count(changes.policies.size()),
                      .policy_removals = count(changes.remove_policies.size()),
                      .selectors = count(selectors),
                      .zero = {}};
    if (auto good = check(header); !good) return std::unexpected(std::move(good.error()));
    header.size = static_cast<std::uint32_t>(size_of(header));
    return header;
}

/// Lays records down one behind the other, and their selectors at the end.
class Writer {
public:
    Writer(std::span<std::uint8_t> octets, std::size_t selectors)
        : records_(octets), selectors_(octets.subspan(octets.size() - selectors * sizeof(SelectorRecord))) {}

    template <class Record>
    void add(const Record& record) {
        lay(record, records_);
    }
    /// Where the first of them lies.
    std::uint32_t add(const std::vector<Selector>& selectors) {
        const std::uint32_t first = written_;
        for (const Selector& selector : selectors) {
            SelectorRecord record;
            store(selector, record);
            lay(record, selectors_);
            ++written_;
        }
        return first;
    }

private:
    template <class Record>
    static void lay(const Record& record, std::span<std::uint8_t>& rest) {
        std::memcpy(rest.data(), &record, sizeof record);
        rest = rest.subspan(sizeof record);
    }
    std::span<std::uint8_t> records_, selectors_;
    std::uint32_t written_ = 0;
};

Result<void> add_sas(Writer& writer, const std::vector<SaSpec>& sas) {
    SaRecord record;
    Result<void> good;
    for (const SaSpec& sa : sas) {
        good = store(sa, writer.add(sa.selectors), record);
        if (!good) break;
        writer.add(record);
    }
    explicit_bzero(&record, sizeof record);
    return good;
}

} // namespace

Result<std::size_t> encoded_size(const Changes& changes) {
    return header_of(changes).transform([](const CallHeader& header) { return std::size_t{header.size}; });
}

Result<void> encode(const Changes& changes, std::span<std::uint8_t> octets) {
    const auto header = header_of(changes);
    if (!header) return std::unexpected(header.error());
    if (octets.size() != header->size) return wrong("header size", "the memory has not the size of the call");
    Writer writer(octets, header->selectors);
    writer.add(*header);
    if (auto done = add_sas(writer, changes.install); !done) return done;
    if (auto done = add_sas(writer, changes.update); !done) return done;
    for (const Removal& removal : changes.remove) {
        RemovalRecord record{.name = {},
                             .child = removal.child,
                             .drain = removal.drain,
                             .direction = static_cast<std::uint8_t>(removal.direction),
                             .zero = {}};
        if (!store_name(removal.name, record.name)) return wrong_name();
        writer.add(record);
    }
    for (const PolicySpec& policy : changes.policies) {
        PolicyRecord record;
        if (auto done = store(policy, writer.add(policy.selectors), record); !done) return done;
        writer.add(record);
    }
    for (const std::string& name : changes.remove_policies) {
        Name record;
        if (!store_name(name, record)) return wrong_name();
        writer.add(record);
    }
    return {};
}

} // namespace sallyport::record
