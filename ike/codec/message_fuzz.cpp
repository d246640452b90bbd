// SPDX-License-Identifier: Apache-2.0
// Any octets as a message: it is read within its bounds, and what was read is written and read again as it was. Octet 0: the type of the
// first payload of the chain that follows; 0 where a whole message follows.
#include "ike/codec/message.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>

namespace {

using namespace sallyport::ike;
using enum PayloadType;

void expect(bool good) {
    if (!good) std::abort();
}

bool same(Octets one, Octets other) { return std::ranges::equal(one, other); }

/// Those that an answer could take; the others cannot be written.
std::vector<Proposal> usable(std::vector<Proposal> proposals) {
    for (Proposal& proposal : proposals) std::erase_if(proposal.transforms, [](const Transform& transform) { return !transform.usable; });
    return proposals;
}

void write_ids(const Contents& contents, Writer& writer) {
    if (contents.idi) writer.id(identification_initiator, contents.idi->type, contents.idi->data);
    if (contents.idr) writer.id(identification_responder, contents.idr->type, contents.idr->data);
    if (contents.auth) writer.auth(contents.auth->method, contents.auth->data);
    for (const Certificate& one : contents.certificates) writer.certificate(one.encoding, one.data);
    for (const Certificate& one : contents.certificate_requests) writer.certificate_request(one.encoding, one.data);
}

Writer written(const Contents& contents) {
    Writer writer;
    if (!contents.sa.empty()) writer.sa(usable(contents.sa));
    if (contents.ke) writer.ke(contents.ke->method, contents.ke->data);
    if (!contents.nonce.empty()) writer.nonce(contents.nonce);
    write_ids(contents, writer);
    for (const Notify& one : contents.notifies) writer.notify(one.type, one.data, one.protocol, one.spi);
    for (const Delete& one : contents.deletes) writer.erase(one.protocol, one.spi_size, one.spis);
    for (const Octets& one : contents.vendor_ids) writer.vendor_id(one);
    if (contents.tsi && !contents.tsi->known.empty()) writer.ts(traffic_selector_initiator, contents.tsi->known);
    if (contents.tsr && !contents.tsr->known.empty()) writer.ts(traffic_selector_responder, contents.tsr->known);
    for (const Payload& one : contents.others) writer.raw(one.type, one.body, one.critical);
    if (contents.unsupported) writer.raw(static_cast<PayloadType>(*contents.unsupported), {}, true);
    return writer;
}

void expect_same_ids(const Contents& one, const Contents& other) {
    const auto id = [](const Identification& a, const Identification& b) { return a.type == b.type && same(a.data, b.data); };
    const auto certificate = [](const Certificate& a, const Certificate& b) { return a.encoding == b.encoding && same(a.data, b.data); };
    expect(one.idi.has_value() == other.idi.has_value() && (!one.idi || id(*one.idi, *other.idi)));
    expect(one.idr.has_value() == other.idr.has_value() && (!one.idr || id(*one.idr, *other.idr)));
    expect(one.auth.has_value() == other.auth.has_value());
    expect(!one.auth || (one.auth->method == other.auth->method && same(one.auth->data, other.auth->data)));
    expect(std::ranges::equal(one.certificates, other.certificates, certificate));
    expect(std::ranges::equal(one.certificate_requests, other.certificate_requests, certificate));
}

void expect_same_selectors(const std::optional<TrafficSelectors>& one, const std::optional<TrafficSelectors>& other) {
    if (one && !one->known.empty())
        expect(other && one->known == other->known && other->unknown == 0);
    else
        expect(!other);
}

void expect_same(const Contents& one, const Contents& other) {
    const auto notify_same = [](const Notify& a, const Notify& b) {
        return a.protocol == b.protocol && a.type == b.type && same(a.spi, b.spi) && same(a.data, b.data);
    };
    const auto delete_same = [](const Delete& a, const Delete& b) {
        return a.protocol == b.protocol && a.spi_size == b.spi_size && same(a.spis, b.spis);
    };
    const auto payload_same = [](const Payload& a, const Payload& b) {
        return a.type == b.type && a.critical == b.critical && same(a.body, b.body);
    };
    expect(usable(one.sa) == other.sa);
    expect(one.ke.has_value() == other.ke.has_value());
    expect(!one.ke || (one.ke->method == other.ke->method && same(one.ke->data, other.ke->data)));
    expect(same(one.nonce, other.nonce));
    expect_same_ids(one, other);
    expect(std::ranges::equal(one.notifies, other.notifies, notify_same));
    expect(std::ranges::equal(one.deletes, other.deletes, delete_same));
    expect(std::ranges::equal(one.vendor_ids, other.vendor_ids, same));
    expect_same_selectors(one.tsi, other.tsi);
    expect_same_selectors(one.tsr, other.tsr);
    expect(std::ranges::equal(one.others, other.others, payload_same));
    expect(one.unsupported == other.unsupported);
}

/// Every payload lies behind the one before it and within the octets.
void expect_within(const Chain& chain, Octets octets) {
    const std::uint8_t* at = octets.data();
    for (const Payload& payload : chain.payloads) {
        expect(payload.body.data() == at + payload_header_size);
        at = payload.body.data() + payload.body.size();
    }
    expect(at == octets.data() + octets.size());
    expect(chain.payloads.size() <= most_payloads);
}

void take(PayloadType first, Octets octets) {
    const Parsed<Chain> chain = parse_chain(first, octets);
    if (!chain) return expect(!chain.error().what.empty());
    expect_within(*chain, octets);
    constexpr std::array rules = {PayloadRule{security_association, 1, 1}, PayloadRule{vendor_id, 0, 3}};
    if (const Parsed<void> checked = check(*chain, rules); !checked) expect(!checked.error().what.empty());
    const Parsed<Contents> contents = parse_contents(*chain);
    if (!contents) return expect(!contents.error().what.empty());
    const Writer writer = written(*contents);
    const Parsed<Chain> again = parse_chain(writer.first(), writer.octets());
    expect(again.has_value());
    const Parsed<Contents> same_contents = parse_contents(*again);
    expect(same_contents.has_value());
    expect_same(*contents, *same_contents);
    expect(same(written(*same_contents).octets(), writer.octets()));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Octets rest = Octets(data, size).subspan(1);
    if (data[0] != 0) {
        take(static_cast<PayloadType>(data[0]), rest);
        return 0;
    }
    const std::optional<Header> header = parse_header(rest);
    expect(header.has_value() == (rest.size() >= header_size));
    if (!header) return 0;
    std::array<std::uint8_t, header_size> stored{};
    store(*header, stored.data());
    std::array<std::uint8_t, header_size> given{};
    std::ranges::copy(rest.first(header_size), given.begin());
    given[19] &= 0x28; // of the flags only I and R are kept
    expect(stored == given);
    take(header->first, rest.subspan(header_size));
    return 0;
}
