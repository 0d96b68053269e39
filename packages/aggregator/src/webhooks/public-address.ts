import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Whether anyone on the Internet could be meant by the address. All special ranges are kept out, not only the private
 * ones: loopback, link-local (where clouds answer with credentials), carrier-grade NAT, multicast, and IPv6 addresses that
 * hold an IPv4 one, in which any of these could hide. https://www.iana.org/assignments/iana-ipv4-special-registry
 */
export function isPublicAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === 'unicast';
}

/** The host of the URL without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/**
 * Resolves a name as a connection is made and leaves only public addresses. What is checked is thus what is connected to:
 * a name that answers differently the second time gains nothing.
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

/** The target is not to be connected to. */
export class PrivateAddress extends Error {
  constructor(host: string) {
    super(`${host} is at an address that is not public; WEBHOOK_ALLOW_PRIVATE=true allows those`);
  }
}
