// SPDX-License-Identifier: Apache-2.0
// The children of each connection and where they are in their lives: which receive, by which one policies send, which drain. It says what a
// transaction means; the store and the tables bring it about.
#pragma once

#include "gateway/index/few.hpp"
#include "gateway/index/index.hpp"
#include "gateway/index/slab.hpp"
#include "gateway/sa/child.hpp"
#include "gateway/sa/record.hpp"
#include "gateway/store/store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sallyport::control {

/// Threads: the control thread.
class Children {
    struct Child {
        std::uint32_t number = 0;
        ChildState state = ChildState::created;
        bool outbound = false; // installed
    };
    struct Connection {
        index::Few<Child, 1> children; // by number
        std::uint32_t sender = 0;      // child by which policies send, 0: none
        VpnNumber outer_vpn = wan_vpn; // of the child that came last

        [[nodiscard]] Child* find(std::uint32_t number); // null: there is none
        [[nodiscard]] Child& make(std::uint32_t number); // or the one that there is
    };
    struct Named {
        std::string name;
        Connection connection;
    };

public:
    /// What comes of a transaction, when it is committed.
    class Plan {
    public:
        std::vector<store::SaName> remove; // of the store, at once
        struct Drain {
            store::SaName name;
            std::uint32_t milliseconds;
        };
        std::vector<Drain> drain;     // inbound SAs that go later
        bool senders_changed = false; // another SA sends for some connection
        bool ways_changed = false;    // a connection came, went, or has another outer VPN

    private:
        friend class Children;
        std::unordered_map<std::string, Connection> touched; // as they will be
    };

    /// Error: the place is "install[3] child" or the like; a step that its child's state does not allow.
    [[nodiscard]] Result<Plan> plan(const record::Changes& changes) const;
    void commit(Plan&& plan);

    [[nodiscard]] bool has(std::string_view connection) const { return place_of(connection).has_value(); }
    /// Which child sends; nothing: none does, or there is no such connection. With a plan: as it will be.
    [[nodiscard]] std::optional<std::uint32_t> sender(const std::string& connection, const Plan* plan = nullptr) const;
    /// In which VPN its protected traffic is on its way; nothing: there is no such connection.
    [[nodiscard]] std::optional<VpnNumber> outer_vpn(const std::string& connection, const Plan* plan = nullptr) const;
    [[nodiscard]] ChildState state(const std::string& connection, std::uint32_t child) const; // gone: there is none
    /// SAs that an earlier process left in the store: the newest child of each connection sends.
    void take_over(const std::vector<SaSpec>& sas);

private:
    [[nodiscard]] Connection& touch(Plan& plan, const std::string& name) const;
    [[nodiscard]] const Connection* find(const std::string& name, const Plan* plan) const; // null: it has no child
    [[nodiscard]] std::optional<Error> install(Plan& plan, const SaSpec& sa) const;
    [[nodiscard]] std::optional<Error> remove_outbound(Plan& plan, const record::Removal& removal) const;
    [[nodiscard]] std::optional<Error> remove_inbound(Plan& plan, const record::Removal& removal) const;
    [[nodiscard]] std::optional<std::uint32_t> place_of(std::string_view name) const;
    [[nodiscard]] Connection& make(const std::string& name); // or the one that there is
    index::Slab<Named> connections_;
    index::Index by_name_;
};

} // namespace sallyport::control
