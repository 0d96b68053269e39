import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { ANYONE } from '../../access/principal.ts';

/** Who did it, for the log: the key's name, or that keys are not in force and it could have been anybody. */
export function whoIn({ principal }: FastifyRequest): { key: string } | { keys: 'not in force' } {
  return principal === ANYONE ? { keys: 'not in force' } : { key: principal.name };
}

/** The name of the key, for the audit trail; null if no keys are in force. */
export function keyNameIn({ principal }: FastifyRequest): string | null {
  return principal === ANYONE ? null : principal.name;
}

/** What the routes tell the log of: each change, by whom, never a payload. */
export type AuditLog = Pick<Logger, 'info' | 'warn'>;

/** Writes lines marked `audit`, whatever level the log has: who let go of what must be known later. Only `silent` is obeyed. */
export function auditLogOf(log: Logger): AuditLog {
  return log.child({ audit: true }, { level: log.level === 'silent' ? 'silent' : 'info' });
}
