import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Leases } from '../store/group-store.ts';

/**
 * A lease id is `<take>.<offset>.<mac>`, the first two in base 36. The mac covers the take: 96 bits of HMAC-SHA256
 * under the group's own secret. So nobody can forge an id or use another group's, no lookup is needed to tell an id
 * that was given from one that never was, and a repeated acknowledgement finds its event acknowledged.
 */
export function createLeaseIds(secret: Uint8Array, take: number): (offset: number) => string {
  const head = `${take.toString(RADIX)}.`;
  const tail = `.${macOf(secret, take)}`;
  return (offset) => head + offset.toString(RADIX) + tail;
}

const RADIX = 36;
const MAC_CHARS = 16;

/** 1 to 11 digits hold every safe integer. */
const FORM = new RegExp(`^([0-9a-z]{1,11})\\.([0-9a-z]{1,11})\\.([\\w-]{${MAC_CHARS}})$`);

/** Whether the text has the form of a lease id. */
export function isLeaseId(text: string): boolean {
  return FORM.test(text);
}

/** The take and offset of an id that was never given; no real take or offset is 0. */
const NEVER = 0;

/**
 * The leases that the ids name; each must have the form of a lease id. An id that was never given becomes a take that
 * never was.
 */
export function leasesOf(secret: Uint8Array, ids: readonly string[]): Leases {
  const takes = new Float64Array(ids.length);
  const offsets = new Float64Array(ids.length);
  const macs = new Map<number, Buffer>();
  for (const [i, id] of ids.entries()) {
    const [, takeText, offsetText, mac] = FORM.exec(id)!;
    const take = Number.parseInt(takeText!, RADIX);
    let expected = macs.get(take);
    if (expected === undefined) macs.set(take, (expected = Buffer.from(macOf(secret, take))));
    const isOurs = timingSafeEqual(Buffer.from(mac!), expected);
    takes[i] = isOurs ? take : NEVER;
    offsets[i] = isOurs ? Number.parseInt(offsetText!, RADIX) : NEVER;
  }
  return { takes, offsets };
}

function macOf(secret: Uint8Array, take: number): string {
  return createHmac('sha256', secret).update(String(take)).digest('base64url').slice(0, MAC_CHARS);
}
