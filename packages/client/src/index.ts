export {
  ChronicleWeaver,
  type ClientOptions,
  type NewEvent,
  type ReadQuery,
  type Stats,
  type TopicInfo,
} from './client.ts';
export type { ConsumeOptions, Handler, HandlerContext } from './consume.ts';
export type { DeadEvent, DeliveredEvent, Group, GroupDefinition, Groups } from './groups.ts';
export {
  ChronicleWeaverError,
  type ClientCode,
  ConnectionError,
  type ErrorCode,
  ProblemError,
} from './errors.ts';
export type { BufferLimits } from './publish-buffer.ts';
export type { Gap, SubscribeQuery } from './subscribe.ts';
export { type Query, pathOf } from './address.ts';
export type { CallOptions, RequestOptions, Retry, TransportOptions } from './transport.ts';
export type { EventResult, FieldError, Payload, StoredEvent, Verdict } from '@chronicleweaver/protocol';
