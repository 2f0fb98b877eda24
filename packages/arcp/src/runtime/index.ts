export {
  createFunctionHost,
  type AgentFunction,
  type AgentHost,
  type AgentJob,
  type AgentOutcome,
  type Authorization,
  type DelegatedJob,
  type DelegateRequest,
  type EmitOptions,
  type FunctionAgent,
  type ToolOutcome,
  type ToolRequest,
} from './agent-host.ts';
export type {
  EventQuery,
  EventStore,
  JobQuery,
  StoreBatch,
  StoredCredential,
  StoredEvent,
  StoredJob,
  StoredResultStream,
  StoredRuntime,
  StoredSession,
  StoredSubscription,
} from './event-store.ts';
export { createMemoryEventStore } from './memory-event-store.ts';
export type { RuntimeLimits, RuntimeOptions, Watchdog } from './options.ts';
export {
  createTokenAuthenticator,
  type Authenticator,
  type CredentialProvider,
  type CredentialRequest,
  type ObservePolicy,
  type Span,
  type Tracer,
} from './ports.ts';
export { startRuntime, type Runtime, type RuntimeStats } from './runtime.ts';
export {
  refuseUpgrade,
  serveWebSocket,
  type WebSocketServing,
  type WebSocketServingOptions,
} from './websocket-server.ts';
export { createMemoryTransportPair, type TransportPair } from '../memory-transport.ts';
export { createStdioTransport, type StdioTransportOptions } from '../stdio-transport.ts';
export {
  CLOSE_CODES,
  type CloseReason,
  type Transport,
  type TransportClose,
  type TransportListener,
} from '../transport.ts';
export { createWebSocketTransport, type WebSocketTransportOptions } from '../websocket-transport.ts';
export type { AgentInventoryEntry } from '../agent-ref.ts';
export type { StoredCounter } from '../budget.ts';
export type { ArcpErrorCode, ArcpErrorPayload, ArcpWireCode } from '../errors.ts';
export type {
  ArtifactRefBody,
  DelegateBody,
  EventBodies,
  LogBody,
  MetricBody,
  ProgressBody,
  ResultChunkBody,
  StatusBody,
  ThoughtBody,
  ToolCallBody,
  ToolResultBody,
} from '../event-bodies.ts';
export type { JobStatus } from '../job-state.ts';
export type { Lease, LeaseConstraints } from '../lease.ts';
export type { Logger, LogLine } from '../logger.ts';
export type { Credential, Feature } from '../wire.ts';
