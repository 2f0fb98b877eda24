export { connectClient } from './client.ts';
export type {
  ArcpClient,
  ClientJob,
  ClientOptions,
  JobEnd,
  ObservedJob,
  ReceivedEvent,
  SessionTicket,
  SubmitOptions,
  SubscribeOptions,
} from './options.ts';
export { connectWebSocket, type WebSocketOptions } from './websocket.ts';
export { createStdioTransport, type StdioTransportOptions } from '../stdio-transport.ts';
export type { Transport, TransportClose, TransportListener } from '../transport.ts';
export type { AgentInventoryEntry } from '../agent-ref.ts';
export type { ArcpErrorCode, ArcpErrorPayload, ArcpWireCode } from '../errors.ts';
export type { FinalStatus, JobStatus } from '../job-state.ts';
export type { Lease, LeaseConstraints } from '../lease.ts';
export type { Logger, LogLine } from '../logger.ts';
export type {
  Credential,
  Feature,
  JobAccepted,
  JobEvent,
  JobListEntry,
  JobSubscribed,
  ListJobsRequest,
  SessionJobs,
  SessionWelcome,
} from '../wire.ts';
