// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/child.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <set>

using namespace sallyport;

TEST(KeyMaterial, IsWipedWhenItGoes) {
    alignas(KeyMaterial) std::array<std::uint8_t, sizeof(KeyMaterial)> memory{};
    auto* key = new (memory.data()) KeyMaterial;
    key->octets.fill(0xa5);
    key->size = maximum_key_material;
    key->~KeyMaterial();
    const volatile std::uint8_t* left = memory.data();
    for (unsigned i = 0; i < maximum_key_material; ++i) ASSERT_EQ(left[i], 0) << i;
}

TEST(Algorithm, RowsLieAtTheirNumberAndFitTheMaterial) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < algorithms.size(); ++i) {
        EXPECT_EQ(static_cast<std::size_t>(algorithms[i].algorithm), i);
        EXPECT_LE(algorithms[i].material(), maximum_key_material);
        EXPECT_EQ(algorithms[i].unique_nonce(), algorithms[i].integrity_id == 0);
        EXPECT_EQ(algorithms[i].integrity_only(), algorithms[i].name.starts_with("null"));
        EXPECT_EQ(parse_algorithm(algorithms[i].name), algorithms[i].algorithm);
        names.insert(algorithms[i].name);
    }
    EXPECT_EQ(names.size(), algorithms.size());
    EXPECT_FALSE(parse_algorithm("aes-128-ecb"));
}

SaSpec good_sa(SaMode mode) {
    SaSpec sa;
    sa.mode = mode;
    sa.outer_local = *parse_address("192.0.2.1");
    sa.outer_remote = *parse_address("192.0.2.2");
    sa.selectors = {mode == SaMode::transport ? Selector{*parse_range("192.0.2.1"), *parse_range("192.0.2.2"), 17}
                                              : Selector{*parse_range("2001:db8::1"), *parse_range("2001:db8::2"), 17}};
    return sa;
}

TEST(Fault, IsFoundInWhatContradictsItself) {
    for (const SaMode mode : {SaMode::tunnel, SaMode::transport, SaMode::beet}) {
        EXPECT_EQ(fault(good_sa(mode)), "");
        const auto with = [&](auto change) {
            SaSpec sa = good_sa(mode);
            change(sa);
            return !fault(sa).empty();
        };
        const bool tunnel = mode == SaMode::tunnel, transport = mode == SaMode::transport;
        EXPECT_TRUE(with([](SaSpec& sa) { sa.outer_remote = *parse_address("2001:db8::2"); }));
        EXPECT_TRUE(with([](SaSpec& sa) { sa.tfc_padding = 17; }));
        EXPECT_TRUE(with([](SaSpec& sa) { sa.direction = Direction::inbound, sa.window = 48; }));
        EXPECT_EQ(with([](SaSpec& sa) { sa.tfc_padding = 64; }), !tunnel);
        EXPECT_EQ(with([](SaSpec& sa) { sa.selectors.push_back(sa.selectors[0]), sa.selectors[1].protocol = 6; }), false);
        EXPECT_EQ(with([](SaSpec& sa) { sa.selectors[0].remote = *parse_range("2001:db8::/64"); }), !tunnel);
        EXPECT_EQ(with([](SaSpec& sa) { sa.selectors.push_back({*parse_range("10.0.0.1"), *parse_range("10.0.0.2")}); }), !tunnel);
        EXPECT_EQ(with([](SaSpec& sa) { sa.selectors = {{*parse_range("10.0.0.1"), *parse_range("10.0.0.2")}}; }), transport);
        // The addresses that a peer behind a NAT knows.
        const auto behind_nat = [](SaSpec& sa) {
            sa.direction = Direction::inbound;
            sa.udp_port = 4500;
            sa.original_remote = *parse_address("10.9.9.9");
        };
        EXPECT_EQ(with(behind_nat), !transport);
        EXPECT_TRUE(with([&](SaSpec& sa) { behind_nat(sa), sa.direction = Direction::outbound; }));
        EXPECT_TRUE(with([&](SaSpec& sa) { behind_nat(sa), sa.udp_port = 0; }));
        EXPECT_TRUE(with([&](SaSpec& sa) { behind_nat(sa), sa.original_remote = *parse_address("2001:db8::9"); }));
        const auto with_ah = [](SaSpec& sa) { sa.protocol = SaProtocol::ah, sa.algorithm = Algorithm::null_hmac_sha2_256_128; };
        EXPECT_EQ(with(with_ah), mode == SaMode::beet);
        EXPECT_TRUE(with([&](SaSpec& sa) { with_ah(sa), sa.algorithm = Algorithm::aes_128_gcm_16; }));
        EXPECT_TRUE(with([&](SaSpec& sa) { with_ah(sa), sa.udp_port = 4500; }));
        EXPECT_TRUE(with([&](SaSpec& sa) { with_ah(sa), sa.tfc_padding = 64; }));
        EXPECT_TRUE(with([&](SaSpec& sa) { with_ah(sa), sa.dummies_per_second = 1; }));
    }
}

TEST(Policy, SendsByATransportSaOnlyWhatIsBetweenItsEnds) {
    PolicySpec policy;
    policy.selectors = {{*parse_range("192.0.2.1"), *parse_range("192.0.2.2"), 6, {80, 80}}};
    EXPECT_TRUE(may_send_by(policy, good_sa(SaMode::transport)));
    EXPECT_FALSE(may_send_by(policy, good_sa(SaMode::beet)));
    EXPECT_TRUE(may_send_by(policy, good_sa(SaMode::tunnel)));
    policy.selectors.push_back({*parse_range("192.0.2.0/30"), *parse_range("192.0.2.2")});
    EXPECT_FALSE(may_send_by(policy, good_sa(SaMode::transport)));
}

TEST(ChildState, ReceivesBeforeItSendsAndAfterItSent) {
    using enum ChildEvent;
    ChildState state = ChildState::created;
    for (const ChildEvent event : {install_inbound, switch_outbound, retire_outbound, drain_inbound, close}) {
        for (const ChildEvent other : {install_inbound, switch_outbound, retire_outbound, drain_inbound, close}) {
            // What leaves out a step, but for the ways back and out.
            const bool way_back = state == ChildState::outbound_retired && other == switch_outbound;
            const bool way_out = other == close && (state == ChildState::inbound_installed || state == ChildState::outbound_retired);
            const bool unused = state == ChildState::inbound_installed && other == drain_inbound;
            EXPECT_EQ(after(state, other).has_value(), other == event || way_back || way_out || unused)
                << name_of(state) << " " << static_cast<int>(other);
        }
        state = after(state, event).value();
    }
    EXPECT_EQ(state, ChildState::gone);
    EXPECT_EQ(name_of(state), "gone");
    EXPECT_EQ(after(ChildState::outbound_retired, switch_outbound), ChildState::outbound_switched);
}

TEST(DropReason, EachHasAMeaningAndAllButTheHarmlessARemedy) {
    for (std::size_t i = 0; i < drop_reason_count; ++i) {
        EXPECT_FALSE(drop_reasons[i].meaning.empty()) << drop_reasons[i].name;
        const auto reason = static_cast<DropReason>(i);
        const bool harmless = i == 0 || reason == DropReason::dummy || reason == DropReason::own_vlan ||
                              reason == DropReason::icmp_mtu_taken || reason == DropReason::icmp_mtu_known;
        EXPECT_EQ(drop_reasons[i].remedy.empty(), harmless) << drop_reasons[i].name;
    }
    EXPECT_EQ(info(DropReason::no_chunk).name, "no_chunk");
}

TEST(Error, PrintsPlaceSentenceRemedy) {
    EXPECT_EQ(to_string(Error{ErrorCode::invalid, "The SPI is 7.", "a.toml:3:1 spi", "choose one from 256"}),
              "a.toml:3:1 spi: The SPI is 7; choose one from 256");
    EXPECT_EQ(to_string(Error{ErrorCode::invalid, "the SPI is 7", "", ""}), "the SPI is 7");
    const Error error = system_error(ENOENT, "cannot open marks", "/x");
    EXPECT_EQ(error.code, ErrorCode::system);
    EXPECT_EQ(to_string(error), "/x: cannot open marks: No such file or directory");
}
