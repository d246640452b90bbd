// SPDX-License-Identifier: Apache-2.0
// Everything that the daemons say to the journal: the one table. The journal's catalog is made from it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::journal {

enum class Event : std::uint8_t {
    started,
    stopping,
    start_failed,
    configuration_refused,
    configuration_warning,
    configuration_kept,
    reloaded,
    reload_failed,
    port_up,
    port_down,
    sa_installed,
    sa_refused,
    sa_removed,
    connection_up,
    connection_down,
    sequence_near_end,
    detached,
    guard_raised,
    guard_empty,
    guard_blind,
    privilege_missing,
    gateway_note,
    gateway_warning,
    gateway_error,
    packet_dropped,
};

enum class Priority : std::uint8_t { err = 3, warning = 4, notice = 5, info = 6 }; // as syslog(3)

struct EventInfo {
    Event event;
    std::string_view id; // MESSAGE_ID, 32 hexadecimal digits; never changed, whatever the words become
    Priority priority;
    std::string_view name; // EVENT= in the journal
    std::string_view meaning;
    std::string_view remedy;
};

inline constexpr std::array events{
    EventInfo{Event::started, "d54e63994fd143c69a1c5609960b3ac2", Priority::notice, "started", "The gateway runs and its ports are bound.",
              "Nothing: this is said at every start."},
    EventInfo{Event::stopping, "e4b435255f6c4c539ee209948e9df20f", Priority::notice, "stopping",
              "The gateway was told to stop. Marks of manual connections are written, and the BPF programs stay and drop every packet "
              "until the next start.",
              "Nothing. To let packets through without a gateway: sallyport detach."},
    EventInfo{Event::start_failed, "fc98295c75914d8fbe665b629843979d", Priority::err, "start-failed",
              "The gateway could not start. Nothing was changed, or what was changed keeps dropping packets.",
              "Read the sentence; correct what it names and start again."},
    EventInfo{Event::configuration_refused, "17f76ced3ea04962bcbbf5aae088b161", Priority::err, "configuration-refused",
              "A configuration file has a mistake. At a reload the gateway goes on with the configuration it has.",
              "Correct the place that is named; sallyport check FILE says whether all is well."},
    EventInfo{Event::configuration_warning, "a614dcae060a499fb87e3caf6c7fcb74", Priority::warning, "configuration-warning",
              "The configuration asks for something that is allowed but not safe.", "Follow the advice, or accept the risk."},
    EventInfo{Event::configuration_kept, "b6cf5d0f3f834b5f8c3a0d1c6f0f5e27", Priority::warning, "configuration-kept",
              "After a crash, or where the file has mistakes, the gateway starts with the configuration that was committed last and not "
              "with the file.",
              "Look at the file with sallyport check, then take it with sallyport reload."},
    EventInfo{Event::reloaded, "7c60ac790c1742cf9efa2d49d125d702", Priority::notice, "reloaded",
              "A new configuration is in force. Connections that it does not change were left alone.", "Nothing."},
    EventInfo{Event::reload_failed, "a28ebcc91d1b4c0ebd9b4a4164a827ab", Priority::err, "reload-failed",
              "A new configuration was well-formed but could not be brought about.",
              "Read the sentence; the gateway goes on with what it could keep: see sallyport status."},
    EventInfo{Event::port_up, "46b95293c98745dabe3d1410575e083d", Priority::info, "port-up", "A port is bound and its link is up.",
              "Nothing."},
    EventInfo{Event::port_down, "9e41b84c1c6a4823bb737435d8da156c", Priority::warning, "port-down",
              "The link of a port is down; what would leave by it is dropped.", "Look at the cable, the switch or the device."},
    EventInfo{Event::sa_installed, "2b1b4c4b612045ca81755041b13ecc8f", Priority::info, "sa-installed",
              "A security association is in force.", "Nothing."},
    EventInfo{Event::sa_refused, "8dfb2610bec24131b4af02c465891a8a", Priority::err, "sa-refused",
              "A security association could not be installed: its traffic is dropped.",
              "Read the sentence. Where the durable marks are missing: give both sides new keys, or, where these keys were never used "
              "before, run sallyport marks --create FILE."},
    EventInfo{Event::sa_removed, "d0506bc40f9a4487935a0d7f68e4c67d", Priority::info, "sa-removed",
              "A security association is gone, because the configuration no longer has it or has changed it.", "Nothing."},
    EventInfo{Event::connection_up, "dd05f91688174c4c97b089cac3e3a4b4", Priority::notice, "connection-up",
              "A connection has both its security associations and a way to its peer.", "Nothing."},
    EventInfo{Event::connection_down, "92739fc3ebc94cbbb9eadf83fca7a270", Priority::warning, "connection-down",
              "A connection carries no traffic.", "Read the sentence; sallyport status shows the reason as it is now."},
    EventInfo{Event::sequence_near_end, "263946cc2b4145a2a179e99030247ad7", Priority::warning, "sequence-near-end",
              "A connection has used most of its sequence numbers.",
              "Give both sides new keys, or use extended sequence numbers (esn = true)."},
    EventInfo{
        Event::detached, "d23de229df104f8cbea2b040f6c5c5e7", Priority::warning, "detached",
        "The locks were opened by sallyport detach: packets pass the machine without the gateway, in clear if the kernel forwards them.",
        "Start the gateway again to close them."},
    EventInfo{Event::guard_raised, "84fdd4526342410e80fd34a56ff7f92b", Priority::info, "guard-raised",
              "The guard's rules stand: until the gateway runs nothing is forwarded by a port, nor sent in clear to a protected network.",
              "Nothing."},
    EventInfo{Event::guard_empty, "bbff385a12c5489890b03335246e5eaa", Priority::notice, "guard-empty",
              "There is no configuration, so the guard has locked nothing: the machine forwards whatever its kernel is told to forward.",
              "Write a configuration and start the gateway."},
    EventInfo{Event::guard_blind, "0bc339a4bb6a43ceba157cc4e9327abe", Priority::err, "guard-blind",
              "There is a configuration, but it cannot be read, so the guard does not know the ports: nothing is forwarded at all.",
              "Correct the configuration (sallyport check) and start the gateway."},
    EventInfo{Event::privilege_missing, "27071005e82e4521bc9c4ce79eb0f1f1", Priority::err, "privilege-missing",
              "The process lacks a capability that it needs.",
              "Start it by its systemd unit, or give it CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK."},
    EventInfo{Event::gateway_note, "d1fecb3267f64203b7e7cb403b9e728d", Priority::info, "gateway-note",
              "Something that the gateway found worth saying.", "Nothing."},
    EventInfo{Event::gateway_warning, "0f8c90d0954d4cefa737994819532f81", Priority::warning, "gateway-warning",
              "Something works, but not as well or as safely as it could.", "Read the sentence."},
    EventInfo{Event::gateway_error, "ad5ec6fd54a741a2bbc982cc68207034", Priority::err, "gateway-error",
              "Something does not work; what concerns it is dropped.", "Read the sentence."},
    EventInfo{
        Event::packet_dropped, "095bbfef6a464c2684e27224cd4ff37a", Priority::warning, "packet-dropped",
        "A packet was dropped that an honest and well-configured peer does not send (RFC 4301 section 5.2, RFC 4303 section 3.4). Of each "
        "reason three packets in ten seconds get a line of their own; then the number of the others is said.",
        "Look the reason up in sallyport-drops(7). sallyport watch shows such packets as they come, sallyport explain what becomes of "
        "one."},
};

[[nodiscard]] constexpr const EventInfo& info(Event event) { return events[static_cast<std::size_t>(event)]; }

/// The catalog file of all events, for journalctl -x (systemd's catalog format).
[[nodiscard]] std::string catalog();

} // namespace sallyport::journal
