export {
  formatAgentRef,
  parseAgentRef,
  resolveAgent,
  type AgentInventoryEntry,
  type AgentRef,
} from './agent-ref.ts';
export { createBudget, restoreBudget, type Budget, type BudgetChange, type StoredCounter } from './budget.ts';
export { parseClientMessage, type ClientMessage } from './client-messages.ts';
export {
  addDecimal,
  compareDecimal,
  decimalToNumber,
  formatDecimal,
  numberToDecimal,
  parseDecimal,
  subtractDecimal,
  ZERO,
  type Decimal,
} from './decimal.ts';
export {
  ARCP_WIRE_CODES,
  ArcpError,
  errorToPayload,
  isWireCode,
  payloadToError,
  type ArcpErrorCode,
  type ArcpErrorOptions,
  type ArcpErrorPayload,
  type ArcpWireCode,
} from './errors.ts';
export {
  EVENT_KINDS,
  isEventKind,
  requireEventBody,
  type ArtifactRefBody,
  type DelegateBody,
  type EventBodies,
  type EventKind,
  type LogBody,
  type MetricBody,
  type ProgressBody,
  type ResultChunkBody,
  type StatusBody,
  type ThoughtBody,
  type ToolCallBody,
  type ToolResultBody,
} from './event-bodies.ts';
export { formatFrame, parseFrame, type FrameFields, type FrameLimits } from './frame.ts';
export { compileGlob, isGlobIncluded, matchGlob, type Glob } from './glob.ts';
export {
  isFinal,
  JOB_STATUSES,
  JOB_TRANSITIONS,
  transition,
  type FinalStatus,
  type JobStatus,
} from './job-state.ts';
export {
  compileLease,
  isGranted,
  parseExpiresAt,
  requireSubset,
  RESERVED_NAMESPACES,
  type CompiledLease,
  type Lease,
  type LeaseConstraints,
  type ParentBounds,
} from './lease.ts';
export { silentLogger, type Logger, type LogLine } from './logger.ts';
export {
  compilePattern,
  isPatternIncluded,
  matchPattern,
  normaliseResource,
  type ResourcePattern,
} from './resource.ts';
export { parseRuntimeMessage, type RuntimeMessage } from './runtime-messages.ts';
export { createTraceId, createTraceparent, parseTraceId } from './trace-context.ts';
export {
  FEATURES,
  PROTOCOL_VERSION,
  type Credential,
  type Envelope,
  type Feature,
  type JobAccepted,
  type JobErrorPayload,
  type JobEvent,
  type JobListEntry,
  type JobResult,
  type JobSubmit,
  type JobSubscribed,
  type ListJobsRequest,
  type ResumeRequest,
  type SessionHello,
  type SessionJobs,
  type SessionWelcome,
} from './wire.ts';
