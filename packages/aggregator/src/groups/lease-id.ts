import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Leases } from '../store/group-store.ts';

/**
 * A lease id is `<take>.<offset>.<mac>`, the first two in base 36. The mac, 96 bits of HMAC-SHA256 under the
 * group's own secret, is that of the take: who was not given it cannot name it, and an id of another group
 * is not taken here. So nothing has to be looked up to tell an id that was given from one that never was, and an
 * acknowledgement that is sent again finds its event acknowledged.
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

/** Whether it has the form of a lease id. */
export function isLeaseId(text: string): boolean {
  return FORM.test(text);
}

/** No take and no offset: what an id that was never given stands for. */
const NEVER = 0;

/** The leases that the ids name, each of which has the form of one. What we never gave becomes a take that never was. */
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
