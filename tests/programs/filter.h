/* What linux/filter.h, linux/if_packet.h and linux/errqueue.h define: the toolchain has the C library's headers only. */
#ifndef FILTER_H
#define FILTER_H

#include <stdint.h>

struct sock_filter { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct sock_fprog { unsigned short len; struct sock_filter *filter; };
#define SKF_AD_OFF (-0x1000)
#define SKF_AD_PROTOCOL 0

struct tpacket_stats { unsigned tp_packets, tp_drops; };
struct tpacket_auxdata { uint32_t tp_status, tp_len, tp_snaplen; uint16_t tp_mac, tp_net, tp_vlan_tci, tp_vlan_tpid; };

struct sock_extended_err { uint32_t ee_errno; uint8_t ee_origin, ee_type, ee_code, ee_pad; uint32_t ee_info, ee_data; };
#define SO_EE_OFFENDER(e) ((void *)((e) + 1))

#endif
