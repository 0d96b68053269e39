import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Whether the address belongs to the public Internet. Excludes all special ranges, not only the private ones:
 * loopback, link-local (where clouds serve credentials), carrier-grade NAT, multicast, and IPv6 addresses that embed
 * an IPv4 one, which could hide any of these. https://www.iana.org/assignments/iana-ipv4-special-registry
 */
export function isPublicAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === 'unicast';
}

/** The URL's host, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/**
 * Resolves a name as part of connecting, and keeps only public addresses. So the connection goes to the address that
 * was checked: a name that resolves differently the second time gains nothing.
 */
export const lookupPublic: LookupFunction = (hostname, options: LookupOptions, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) return callback(error, '');
    const open = addresses.filter(({ address }) => isPublicAddress(address));
    const first = open[0];
    if (first === undefined) return callback(new PrivateAddress(hostname), '');
    if (options.all === true) callback(null, open);
    else callback(null, first.address, first.family);
  });
};

/** Connecting to the target is not allowed. */
export class PrivateAddress extends Error {
  constructor(host: string) {
    super(`${host} is at an address that is not public; WEBHOOK_ALLOW_PRIVATE=true allows those`);
  }
}
