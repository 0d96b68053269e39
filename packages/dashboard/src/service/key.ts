import { Watched } from '../watched.ts';

/** Where the key is kept: for as long as the tab, and for this tab alone. */
const NAME = 'chronicleweaver-key';

export const key = new Watched<string | undefined>(sessionStorage.getItem(NAME) ?? undefined);

/** Why the service wants a key, or another one; undefined if it has not asked. */
export const keyAsked = new Watched<string | undefined>(undefined);

export function takeKey(secret: string | undefined): void {
  if (secret === undefined) sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, secret);
  keyAsked.set(undefined);
  key.set(secret);
}

/** The header of a request. What no header can hold is no key; the service then asks for one. */
export function authorization(): Record<string, string> {
  const secret = key.value;
  return secret === undefined || !/^[\x21-\x7e]+$/.test(secret) ? {} : { authorization: `Bearer ${secret}` };
}
