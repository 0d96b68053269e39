import type { FastifyRequest } from 'fastify';

export const CLOUDEVENT_TYPE = 'application/cloudevents+json; charset=utf-8';

const NAMES = new Set(['application/cloudevents+json', 'application/cloudevents-batch+json']);

/** Whether a reader asks for CloudEvents: by the parameter, or by naming them in `Accept`, whatever else that names. */
export function asksForCloudEvents(request: FastifyRequest): boolean {
  const { format } = request.query as { readonly format?: 'cloudevents' };
  if (format === 'cloudevents') return true;
  const { accept } = request.headers;
  if (accept === undefined || !/cloudevents/i.test(accept)) return false;
  const types = request.accepts().types() as string[];
  return types.some((type) => NAMES.has(type.toLowerCase()));
}
