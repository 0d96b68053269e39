export const SECRET = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
/** Seconds since 1970. Signatures are of this time, so that the same step always has the same bytes. */
export const TIME = '1767322800';
const ALWAYS = '36500d';

/** The sources of the service under test, by name. */
export const SOURCES: Readonly<Record<string, object>> = {
  github: { kind: 'github', topic: 'in.{type}', secret: SECRET },
  stripe: { kind: 'stripe', topic: 'in.{type}', secret: SECRET, max_age: ALWAYS },
  shopify: { kind: 'shopify', topic: 'in.{type}', secret: SECRET },
  slack: { kind: 'slack', topic: 'in.{type}', secret: SECRET, max_age: ALWAYS },
  standard: { kind: 'standard-webhooks', topic: 'in.{type}', secret: SECRET, max_age: ALWAYS },
  signed: { kind: 'generic', topic: 'in.{/type}', secret: SECRET, id: '/id', timestamp: '/created' },
  keyed: { kind: 'generic', topic: 'in.{x-type}', id: 'x-id', timestamp: 'x-time' },
};
