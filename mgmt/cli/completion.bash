# SPDX-License-Identifier: Apache-2.0
# bash completion of sallyport, installed as /usr/share/bash-completion/completions/sallyport.

_sallyport() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= at=1
    local commands="check status sa policy counters explain watch drops reload marks detach features"
    while [ "$at" -lt "$COMP_CWORD" ]; do
        case " $commands " in *" ${COMP_WORDS[at]} "*) command=${COMP_WORDS[at]} && break ;; esac
        at=$((at + 1))
    done
    COMPREPLY=()
    case $before in
        --socket | --create) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --kind) mapfile -t COMPREPLY < <(compgen -W "dropped acquire sa_installed sa_removed sa_near_end sa_soft_end sa_hard_end sa_traffic sa_idle address_changed path_mtu port_up port_down committed" -- "$word") && return ;;
        --protocol) mapfile -t COMPREPLY < <(compgen -W "udp tcp icmp icmpv6 sctp" -- "$word") && return ;;
        --connection | --vpn | --count | --from | --to | --source-port | --destination-port) return ;;
        --icmp-type | --icmp-code | --hop-limit | --length | --vlan) return ;;
        --run-directory) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    esac
    local options="--help --json"
    case $command in
        '') mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word") && return ;;
        check) ;;
        status) options+=" --socket" ;;
        sa | policy | reload) options+=" --socket" ;;
        counters) options+=" --all --socket" ;;
        explain) options+=" --from --to --protocol --source-port --destination-port --icmp-type --icmp-code --hop-limit --length --vlan --socket" ;;
        drops) ;;
        watch) options+=" --kind --connection --vpn --count --socket" ;;
        marks) options+=" --create" ;;
        detach) options+=" --run-directory --socket" ;;
    esac
    case $command in
        check | reload) mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- "$word"; compgen -d -- "$word") ;;
        sa) mapfile -t COMPREPLY < <(compgen -W "$(sallyport sa --json 2>/dev/null | sed -n 's/.*"name" *: *"\([^"]*\)".*/\1/p' | sort -u)" -- "$word") ;;
        explain) mapfile -t COMPREPLY < <(compgen -W "$(sallyport status --json 2>/dev/null | sed -n 's/.*"interface" *: *"\([^"]*\)".*/\1/p' | sort -u)" -- "$word") ;;
        drops) mapfile -t COMPREPLY < <(compgen -W "$(sallyport drops --json 2>/dev/null | sed -n 's/.*"name" *: *"\([^"]*\)".*/\1/p' | sort -u)" -- "$word") ;;
        policy) mapfile -t COMPREPLY < <(compgen -W "$(sallyport policy --json 2>/dev/null | sed -n 's/.*"name" *: *"\([^"]*\)".*/\1/p' | sort -u)" -- "$word") ;;
    esac
    case $word in
        -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
    esac
}

complete -o filenames -F _sallyport sallyport
