import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { CHANNELS_PER_CHOICE, NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../../src/dialects/dialect.ts'
import { endpointOf } from '../../src/dialects/endpoint.ts'
import { gemini as vendor } from '../../src/dialects/gemini/gemini.ts'
import { geminiGenerate as dialect } from '../../src/dialects/gemini/gemini-generate.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { args, assistant, lengthened, opaque, other, plain, readCall, readEvent, sealed, system, thinking, toolName, toolResult, user } from './places.ts'
import { ends } from './reply-ends.ts'

const parts = {
  contents: [
    {
      role: 'user',
      parts: [
        { text: user('Look:') },
        { inlineData: { mimeType: 'image/png', data: opaque('iVBORw0KGgo=') }, mediaResolution: { level: 'MEDIA_RESOLUTION_LOW' } },
        { inlineData: { mimeType: 'text/csv', data: other('SGVsbG8='), displayName: other('a.csv') } },
        { inlineData: { mimeType: 'image/png', data: other('this is a prompt') } },
        {
          fileData: { mimeType: 'video/mp4', fileUri: other('https://x/v'), displayName: other('v') },
          videoMetadata: { startOffset: '1s', endOffset: '2s', fps: 1 },
        },
        { audioTranscription: { text: user('said') } },
        { thought: true, text: user('no thought of a model') },
      ],
    },
    {
      role: 'model',
      parts: [
        { thought: true, text: thinking('Hm.') },
        { text: assistant('I see'), thoughtSignature: sealed('c2lnbmF0dXJl') },
        { text: assistant('and'), thoughtSignature: other('536-90-4399') },
        { functionCall: { id: 'call_1', name: toolName('lookup'), args: { text: args('123'), x_deep: [{ role: args('here') }], n: 1 } } },
        { functionCall: { name: toolName('stream'), partialArgs: [{ jsonPath: '$.city', stringValue: args('Os'), willContinue: true }] } },
        { toolCall: { id: 't', toolType: 'GOOGLE_SEARCH_WEB', args: { x_q: args('find') } } },
        { toolResponse: { id: 't', toolType: 'GOOGLE_SEARCH_WEB', response: { x_r: toolResult('found') } } },
        { executableCode: { id: 'c', language: 'PYTHON', code: args('print(1)') } },
        { codeExecutionResult: { id: 'c', outcome: 'OUTCOME_OK', output: toolResult('1') } },
      ],
    },
    {
      role: 'user',
      parts: [
        {
          functionResponse: {
            id: 'call_1',
            name: toolName('lookup'),
            scheduling: 'SILENT',
            response: { output: toolResult('sunny'), x_list: [toolResult('and'), { x_more: toolResult('warm') }] },
            parts: [{ inlineData: { mimeType: 'image/png', data: opaque('AAAA'), displayName: other('p') } }],
          },
        },
      ],
    },
    { role: 'function', parts: [{ text: toolResult('as some say') }] },
    { role: 'system', parts: [{ text: system('as others say') }] },
    { parts: [user('a bare part'), { x_newKind: { text: other('new') } }] },
  ],
  systemInstruction: { role: 'user', parts: [{ text: system('Be kind.') }, { text: system('Be short.') }] },
}

const settings = {
  model: 'models/gemini-2.5-flash',
  contents: [{ role: 'user', parts: [{ text: user('Go') }] }],
  systemInstruction: system('as a string'),
  tools: [
    {
      functionDeclarations: [
        {
          name: toolName('weather'),
          description: other('Tells the weather'),
          behavior: 'BLOCKING',
          parameters: { type: 'OBJECT', properties: { x_city: { type: 'STRING', description: other('A city'), enum: ['Oslo'] } }, required: ['x_city'] },
          response: { type: 'OBJECT', title: other('Answer') },
        },
        {
          name: toolName('two'),
          parametersJsonSchema: { type: 'object', properties: { description: { type: 'string', description: other('It') } } },
          responseJsonSchema: { type: 'object', description: other('Out') },
        },
      ],
    },
    { codeExecution: {} },
    { googleSearch: {} },
    { fileSearch: { fileSearchStoreNames: ['fileSearchStores/x'], metadataFilter: other('a = 1') } },
  ],
  toolConfig: {
    functionCallingConfig: { mode: 'ANY', allowedFunctionNames: [toolName('weather')] },
    retrievalConfig: { languageCode: 'de', latLng: { latitude: 1, longitude: 2 } },
  },
  generationConfig: {
    temperature: 0.5,
    topP: 1,
    topK: 4,
    candidateCount: 1,
    maxOutputTokens: 100,
    stopSequences: [other('END')],
    responseMimeType: 'application/json',
    responseModalities: ['TEXT'],
    responseSchema: { type: 'OBJECT', properties: { text: { type: 'STRING', description: other('Text') } }, propertyOrdering: ['text'] },
    responseJsonSchema: { type: 'object', properties: { x_a: { title: other('A'), anyOf: [{ type: 'string' }] } } },
    speechConfig: {
      languageCode: 'de-DE',
      voiceConfig: { prebuiltVoiceConfig: { voiceName: 'Kore' }, replicatedVoiceConfig: { mimeType: 'audio/wav', voiceSampleAudio: opaque('UklGRg==') } },
      multiSpeakerVoiceConfig: { speakerVoiceConfigs: [{ speaker: other('Jane'), voiceConfig: { prebuiltVoiceConfig: { voiceName: 'Puck' } } }] },
    },
    thinkingConfig: { includeThoughts: true, thinkingLevel: 'LOW' },
    mediaResolution: 'MEDIA_RESOLUTION_LOW',
    imageConfig: { language: 'en' },
  },
  safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
  cachedContent: 'cachedContents/1',
  serviceTier: 'flex',
  labels: { x_team: other('red') },
  x_unknown: { x_inner: [other('anything')] },
}

/** As protocol buffers also take it. */
const snaked = {
  system_instruction: { parts: { text: system('one object instead of a list') } },
  contents: {
    role: 'user',
    parts: [
      { text: user('Hi') },
      { inline_data: { mime_type: 'image/png', data: opaque('iVBORw0KGgo=') } },
      { inline_data: { mime_type: 'text/plain', data: other('SGVsbG8=') } },
      { inlineData: { mimeType: 'image/png', mime_type: other('text/plain'), data: other(lengthened('SGVsbG8=')) } },
      { file_data: { mime_type: 'video/mp4', file_uri: other('https://x/v') } },
      { function_call: { name: toolName('f'), args: { x_a: args('1') }, partial_args: [{ json_path: '$.a', string_value: args('2') }] } },
      { function_response: { name: toolName('f'), response: { output: toolResult('3') } } },
      { executable_code: { language: 'PYTHON', code: args('4') } },
      { code_execution_result: { outcome: 'OUTCOME_OK', output: toolResult('5') } },
      { text: user('6'), thought_signature: sealed('c2ln') },
    ],
  },
  tools: { function_declarations: [{ name: toolName('g'), parameters_json_schema: { type: 'object', description: other('G') } }] },
  tool_config: { function_calling_config: { mode: 'ANY', allowed_function_names: [toolName('g')] } },
  generation_config: { response_mime_type: 'application/json', response_schema: { type: 'OBJECT', description: other('S') }, stop_sequences: [other('E')] },
  safety_settings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
  cached_content: 'cachedContents/1',
}

const said = (text: string) => ({ role: 'user', parts: [{ text: user(text) }] })

const safetyRatings = [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'NEGLIGIBLE', blocked: false }]
const usageMetadata = {
  promptTokenCount: 1,
  candidatesTokenCount: 2,
  totalTokenCount: 3,
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: 1 }],
  trafficType: 'ON_DEMAND',
}
const reply = {
  candidates: [
    {
      index: 0,
      finishReason: 'STOP',
      finishMessage: other('Done'),
      safetyRatings,
      content: {
        role: 'model',
        parts: [
          { thought: true, text: thinking('Hm.') },
          { text: assistant('Hello'), thoughtSignature: sealed('c2ln') },
          { inlineData: { mimeType: 'image/png', data: opaque('iVBORw0KGgo=') } },
          { functionCall: { id: 'c', name: toolName('f'), args: { x_usage: args('x') } } },
          { executableCode: { language: 'PYTHON', code: args('print(1)') } },
          { codeExecutionResult: { outcome: 'OUTCOME_OK', output: toolResult('1') } },
        ],
      },
      citationMetadata: { citations: [{ startIndex: 1, endIndex: 2, uri: other('https://a'), title: other('A'), license: other('MIT') }] },
      groundingMetadata: {
        searchEntryPoint: { renderedContent: other('<div>'), sdkBlob: other('AAAA') },
        webSearchQueries: [other('weather')],
        groundingChunks: [{ web: { uri: other('https://b'), title: other('B'), domain: other('b') } }, { retrievedContext: { text: other('chunk') } }],
        groundingSupports: [{ segment: { startIndex: 0, endIndex: 5, text: other('Hello') }, groundingChunkIndices: [0], confidenceScores: [1] }],
      },
      urlContextMetadata: { urlMetadata: [{ retrievedUrl: other('https://c'), urlRetrievalStatus: other('URL_RETRIEVAL_STATUS_SUCCESS') }] },
      logprobsResult: { chosenCandidates: [{ token: other('Hel'), logProbability: -1 }] },
    },
  ],
  promptFeedback: { blockReason: 'SAFETY', blockReasonMessage: other('why'), safetyRatings },
  usageMetadata,
  modelVersion: 'gemini-2.5-flash',
  responseId: 'r1',
}

everyPlace(
  dialect,
  { 'parts of a conversation': parts, settings, 'spelled in snake_case': snaked },
  {
    'of all kinds': reply,
    'a list, streamed without events': [reply, { candidates: [{ content: { role: 'model', parts: [{ text: assistant('more') }] }, finishReason: 'STOP' }] }],
    'a count': { totalTokens: 7, promptTokensDetails: [{ modality: other('TEXT'), tokenCount: 7 }] },
    'an embedding': { embedding: { values: [0.5] } },
  },
)
const at = (verb: string): string => `/v1beta/models/{model}:${verb}`
everyPlace(dialect, { 'a count of a whole request': { generateContentRequest: settings }, 'a count': { contents: [said('one')] } }, {}, at('countTokens'))
everyPlace(
  dialect,
  { 'a text to embed': { model: 'models/e', content: said('one'), taskType: 'CLUSTERING', title: other('T'), outputDimensionality: 3 } },
  {},
  at('embedContent'),
)
everyPlace(
  dialect,
  {
    'texts to embed': {
      requests: [
        { model: 'models/e', content: said('one') },
        { content: said('two'), embedContentConfig: { taskType: 'CLUSTERING' } },
      ],
    },
  },
  {},
  at('batchEmbedContents'),
)
everyPlace(
  dialect,
  {
    'a batch': {
      batch: {
        displayName: other('mine'),
        inputConfig: { requests: { requests: [{ request: settings, metadata: { x_key: other('a') } }, { request: parts }] } },
      },
    },
  },
  {},
  at('batchGenerateContent'),
)
everyPlace(
  dialect,
  { 'a conversation to keep': { ...parts, model: 'models/gemini-2.5-flash', ttl: '300s', displayName: other('mine') } },
  {},
  '/v1beta/cachedContents',
)

const json = (table: object): string => JSON.stringify(plain(table).body)
const headOf = (body: object | string, verb = 'generateContent', model: string | null = null) => {
  const text = typeof body === 'string' ? body : json(body)
  return dialect.readCall(createJsonReader()(Buffer.from(text)), () => {}, `/v1beta/models/x:${verb}`, model)
}

describe('a call', () => {
  test('the prompt is the system first, wherever it stands, then the contents in order, each part on its own', () => {
    const prompt = (table: object, verb = 'generateContent') => readCall(dialect, json(table), at(verb)).prompt.split('\n')
    assert.deepEqual(prompt(parts), [
      ...['Be kind.', 'Be short.'],
      ...['Look:', 'said', 'no thought of a model', 'I see', 'and', 'found', '1', 'sunny', 'and', 'warm', 'as some say', 'as others say', 'a bare part'],
    ])
    assert.deepEqual(prompt(snaked), ['one object instead of a list', 'Hi', '3', '5', '6'])
    assert.deepEqual(prompt({ requests: [{ content: said('one') }, { content: said('two') }] }, 'batchEmbedContents'), ['one', 'two'])
  })

  test('its models are those of the path and of the body, without what Google writes before a name', () => {
    assert.deepEqual(headOf({ contents: [] }, 'generateContent', 'gemini-2.5-pro').models, ['gemini-2.5-pro'])
    assert.deepEqual(headOf(settings, 'generateContent', 'gemini-2.5-flash').models, ['gemini-2.5-flash'])
    assert.deepEqual(headOf(settings, 'generateContent', 'gemini-2.5-pro').models, ['gemini-2.5-pro', 'gemini-2.5-flash'], 'both are meant')
    assert.deepEqual(headOf({ generateContentRequest: settings }, 'countTokens', 'a').models, ['a', 'gemini-2.5-flash'])
    const requests = [{ model: 'models/b', content: {} }, { model: 'publishers/google/models/c', content: {} }, { content: {} }]
    assert.deepEqual(headOf({ requests }, 'batchEmbedContents', 'a').models, ['a', 'b', 'c'])
    for (const routingConfig of [{ manualMode: { modelName: 'dear' } }, { manual_mode: { model_name: 'dear' } }])
      assert.deepEqual(headOf({ contents: [], generationConfig: { routingConfig } }, 'generateContent', 'a').models, ['a', 'dear'])
  })

  test('is streamed by its verb, whatever the body says, and its bound is the one of its settings', () => {
    assert.equal(headOf({ contents: [], stream: true }).streaming, false)
    assert.equal(headOf({ contents: [], stream: false }, 'streamGenerateContent').streaming, true)
    assert.equal(headOf(settings).maxOutputTokens, 100)
    assert.equal(headOf({ contents: [], generation_config: { max_output_tokens: 7 } }).maxOutputTokens, null, 'nothing was said, nothing is asked')
    assert.equal(headOf({ contents: [said('x')], generation_config: { max_output_tokens: 7 } }).maxOutputTokens, 7)
    assert.equal(headOf({ contents: [said('x')] }).maxOutputTokens, null)
    assert.equal(headOf({ contents: [said('x')], generationConfig: { maxOutputTokens: 7, candidateCount: 8 } }).maxOutputTokens, 56, 'of each candidate')
    assert.equal(headOf({ contents: [said('x')], generation_config: { max_output_tokens: 7, candidate_count: 2 } }).maxOutputTokens, 14)
  })

  test('knows its last message', () => {
    const text = json({ contents: [said('one'), said('two')] })
    const read = createJsonReader()(Buffer.from(text))
    const { lastMessage } = dialect.readCall(read, () => {}, at('generateContent'), 'm')
    const { start, end } = read.rangeOf(lastMessage)
    assert.equal(text.slice(start, end), json(said('two')))
  })

  test('is refused where it lacks what the dialect depends on, and the member is named', () => {
    const cases: [body: string, verb: string, param: string][] = [
      ['[]', 'generateContent', ''],
      ['{}', 'generateContent', 'contents'],
      ['{"contents":"x"}', 'generateContent', 'contents'],
      ['{"contents":["x"]}', 'generateContent', 'contents[0]'],
      ['{"contents":[],"model":7}', 'generateContent', 'model'],
      ['{"generateContentRequest":[]}', 'countTokens', 'generateContentRequest'],
      ['{"generate_content_request":{}}', 'countTokens', 'generateContentRequest.contents'],
      ['{"contents":[],"generateContentRequest":{}}', 'countTokens', 'generateContentRequest.contents'],
      ['{}', 'batchEmbedContents', 'requests'],
      ['{"requests":[1]}', 'batchEmbedContents', 'requests[0]'],
      ['{"requests":[{"content":{}},{}]}', 'batchEmbedContents', 'requests[1].contents'],
      ['{"batch":{"inputConfig":{"requests":{}}}}', 'batchGenerateContent', 'batch.inputConfig.requests.requests'],
      ['{"batch":{"inputConfig":{"requests":{"requests":[{}]}}}}', 'batchGenerateContent', 'batch.inputConfig.requests.requests[0].request'],
    ]
    for (const [body, verb, param] of cases)
      assert.throws(
        () => headOf(body, verb),
        (error: Error) => error instanceof UnreadableCall && error.param === param,
        `${verb} ${body}`,
      )
    assert.deepEqual(headOf('{"batch":{"inputConfig":{"fileName":"files/1"}}}', 'batchGenerateContent', 'm').models, ['m'])
  })

  test('is known by its path under every version, tuned models and Vertex AI included', () => {
    const model = (path: string) => {
      const endpoint = endpointOf('POST', path, {})
      return endpoint instanceof Refusal || endpoint.kind !== 'call' || endpoint.dialect !== dialect ? null : endpoint.model
    }
    for (const path of [
      '/v1beta/models/gemini-2.5-flash:generateContent',
      '/v1/models/gemini-2.5-flash:streamGenerateContent',
      '/v1alpha/models/gemini-2.5-flash:countTokens',
      '/v1beta/models/gemini-2.5-flash:embedContent',
      '/v1beta/models/gemini-2.5-flash:batchEmbedContents',
      '/v1beta/models/gemini-2.5-flash:batchGenerateContent',
      '/v1beta/tunedModels/gemini-2.5-flash:generateContent',
      '/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent',
      '/v1beta1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:streamGenerateContent',
      '/v1/projects/p/locations/eu/endpoints/gemini-2.5-flash:computeTokens',
    ])
      assert.equal(model(path), 'gemini-2.5-flash', path)
    assert.equal(model('/v1beta/models/gemini-2.5-flash:predict'), null)
  })
})

describe('a reply', () => {
  const token = (name: string) => ({ chosenCandidates: [{ token: name }] })
  test('what tells its text once more is found in every response of it', () => {
    const list = [{ candidates: [{ logprobsResult: token('a') }, { logprobsResult: null }, {}] }, { candidates: [{ logprobsResult: token('b') }] }]
    for (const [body, expected] of [
      [list, 2],
      [list[0], 1],
      [{ candidates: [] }, 0],
    ] as const) {
      const read = createJsonReader()(Buffer.from(JSON.stringify(body)))
      let visits = 0
      dialect.eachRepeat(read, () => visits++)
      assert.equal(visits, expected)
    }
  })

  const usage = {
    promptTokenCount: 10,
    cachedContentTokenCount: 4,
    candidatesTokenCount: 5,
    thoughtsTokenCount: 7,
    toolUsePromptTokenCount: 1,
    totalTokenCount: 23,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 4 },
      { modality: 'AUDIO', tokenCount: 6 },
    ],
    toolUsePromptTokensDetails: [{ modality: 'AUDIO', tokenCount: 1 }, { modality: 'IMAGE' }, null],
    candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 5 }],
  }
  const counted = {
    input_tokens: 11,
    output_tokens: 12,
    cached_input_tokens: 4,
    reasoning_tokens: 7,
    audio_input_tokens: 7,
    audio_output_tokens: 5,
  }
  const lie = { content: { parts: [{ functionCall: { name: 'f', args: { usageMetadata: { promptTokenCount: 666 } } } }] } }

  test('usage: thoughts count as output, prompts of tools as input, and only the reply’s own member counts', () => {
    const long = { content: { parts: [{ text: '"usageMetadata":{"promptTokenCount":1} \\" }'.repeat(900) }] } }
    for (const candidate of [lie, long]) {
      const body = { candidates: [candidate], usageMetadata: usage, modelVersion: 'm', responseId: 'r' }
      assert.deepEqual(dialect.readUsage(ends(JSON.stringify(body))), counted)
      assert.deepEqual(
        dialect.readUsage(ends(JSON.stringify([{ ...body, usageMetadata: { promptTokenCount: 1 } }, body], null, 2))),
        counted,
        'the last of a list',
      )
    }
    assert.deepEqual(dialect.readUsage(JSON.stringify({ usageMetadata: { promptTokenCount: 3, thoughtsTokenCount: 2 } })), {
      input_tokens: 3,
      output_tokens: 2,
      reasoning_tokens: 2,
    })
    for (const body of [{ candidates: [lie] }, { totalTokens: 7 }, { embedding: { values: [1] } }, { error: { code: 400 } }, []])
      assert.equal(dialect.readUsage(JSON.stringify(body)), null)
  })

  test('usage: every event of a stream counts up, and the last one counts', () => {
    const event = (members: object) => `data: ${JSON.stringify({ candidates: [lie], ...members })}\r\n\r\n`
    const stream = event({ usageMetadata: { promptTokenCount: 10 } }) + event({}).repeat(100) + event({ usageMetadata: usage })
    assert.deepEqual(dialect.readUsage(ends(stream)), counted)
    assert.equal(dialect.readUsage(ends(event({}))), null)
  })
})

describe('a stream', () => {
  const event = (...candidates: object[]) => readEvent(dialect, { candidates })
  const piece = (index: number | undefined, ...parts: object[]) => event({ index, content: { role: 'model', parts } }).pieces

  test('texts and thoughts of each candidate go on from event to event, what comes whole is a text by itself, ciphertext is none', () => {
    const cipher = lengthened('c2ln')
    const base = CHANNELS_PER_CHOICE
    assert.deepEqual(piece(undefined, { text: 'a' }), [[0, 'assistant', 'a']], 'protocol buffers leave out a zero')
    assert.deepEqual(piece(1, { text: 'a' }, { text: 'b', thought: true }, { text: 'c' }), [
      [base, 'assistant', 'a'],
      [base + 1, 'thinking', 'b'],
      [base, 'assistant', 'c'],
    ])
    assert.deepEqual(piece(1, { functionCall: { id: 'i', name: 'f', args: { a: 'x', b: ['y'] } } }), [
      [WHOLE_TEXT, 'tool_name', 'f'],
      [WHOLE_TEXT, 'tool_arguments', 'x'],
      [WHOLE_TEXT, 'tool_arguments', 'y'],
      [WHOLE_TEXT, 'protocol', 'i'],
    ])
    assert.deepEqual(piece(1, { functionCall: { partialArgs: [{ jsonPath: '$.a', stringValue: 'Os', willContinue: true }] } }), [
      [base + 2, 'tool_arguments', 'Os'],
      [WHOLE_TEXT, 'protocol', '$.a'],
    ])
    assert.deepEqual(piece(1, { executableCode: { code: 'p' } }, { codeExecutionResult: { output: 'q' } }), [
      [WHOLE_TEXT, 'tool_arguments', 'p'],
      [WHOLE_TEXT, 'tool_result', 'q'],
    ])
    assert.deepEqual(piece(1, { thoughtSignature: cipher, text: '' }), [
      [WHOLE_TEXT, 'sealed', cipher],
      [base, 'assistant', ''],
    ])
    for (const [data, role] of [
      [cipher, 'opaque'],
      ['536-90-4399', 'other'],
    ] as const)
      assert.deepEqual(piece(1, { inlineData: { mimeType: 'image/png', data } }), [
        [WHOLE_TEXT, 'protocol', 'image/png'],
        [WHOLE_TEXT, role, data],
      ])
  })

  test('a candidate that says why it finished is closed', () => {
    assert.equal(event({ index: 2, content: { parts: [{ text: 'x' }] }, finishReason: 'STOP' }).closed, 2)
    assert.deepEqual(event({ finishReason: 'MAX_TOKENS' }), { pieces: [[WHOLE_TEXT, 'protocol', 'MAX_TOKENS']], closed: 0 })
    assert.equal(event({ index: 2, content: { parts: [] } }).closed, NOTHING_CLOSED)
    assert.deepEqual(readEvent(dialect, { usageMetadata, modelVersion: 'm' }), {
      pieces: ['m', 'TEXT', 'ON_DEMAND'].map((text) => [WHOLE_TEXT, 'protocol', text]),
      closed: NOTHING_CLOSED,
    })
  })

  test('an index that is none makes the reply unreadable instead of mixing texts', () => {
    for (const index of [-1, 0.5, '0', 1 << 16, {}])
      assert.throws(
        () => event({ index, content: { parts: [{ text: 'x' }] } }),
        (error: Error) => error instanceof Failure && error.reason === 'reply_unreadable',
      )
  })

  test('its last event says why a candidate finished or a prompt was blocked, in that member and nowhere else', () => {
    const isLast = (body: unknown, frame = (text: string) => `data: ${text}\r\n\r\n`) => dialect.isLastEvent(Buffer.from(frame(JSON.stringify(body))))
    assert.equal(isLast({ candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'STOP' }], usageMetadata }), true)
    assert.equal(isLast({ candidates: [{}, { finishReason: 'STOP' }] }), true)
    assert.equal(isLast({ promptFeedback: { blockReason: 'SAFETY' } }), true)
    assert.equal(
      isLast({ candidates: [{ finishReason: 'STOP' }] }, (text) => `data:${text}\n\n`),
      true,
    )
    assert.equal(isLast({ candidates: [{ content: { parts: [{ text: '"finishReason": "STOP"' }] } }] }), false)
    assert.equal(isLast({ candidates: [{ content: { parts: [{ functionCall: { args: { finishReason: 'STOP', blockReason: 'x' } } }] } }] }), false)
    assert.equal(isLast({ finishReason: 'STOP' }), false)
    assert.equal(dialect.isLastEvent(Buffer.from('data: {"finishReason"\n\n')), false)
    assert.equal(dialect.isLastEvent(Buffer.from('data: "finishReason"\ndata: 1\n\n')), false)
  })

  test('is stopped with an error whose first key the client libraries look for, or as if the model had stopped', () => {
    const refusal = new Refusal('blocked_by_rule', 'Stopped\nby policy.')
    const hard = dialect.stopStream({ refusal, requestId: 'req_1', soft: false, open: [0, 3] })
    assert.match(hard, /^data: (\{"error":\{"code":403,[^\n]+)\n\n\1$/)
    assert.equal(
      dialect.stopStream({ refusal, requestId: 'req_1', soft: true, open: [] }),
      'data: {"candidates":[{"finishReason":"PROHIBITED_CONTENT","index":0}]}\n\n',
    )
    const soft = dialect.stopStream({ refusal, requestId: 'req_1', soft: true, open: [0, 3] })
    assert.deepEqual(
      (JSON.parse(soft.slice('data: '.length)) as { candidates: { index: number }[] }).candidates.map(({ index }) => index),
      [0, 3],
    )
    assert.equal(dialect.isLastEvent(Buffer.from(soft)), true)
  })
})

describe('a refusal', () => {
  const page = (reason: Refusal['reason'], context = {}) => {
    const { status, headers, body } = vendor.refuse(new Refusal(reason, 'm', { context }), 'req_1')
    assert.deepEqual(headers.slice(0, 2), ['content-type', 'application/json'])
    const parsed = JSON.parse(body) as { error: { code: number; status: string; message: string; details: Record<string, unknown>[] } }
    assert.deepEqual([Object.keys(parsed), parsed.error.code, parsed.error.message], [['error'], status, 'm'])
    return { status: parsed.error.status, details: parsed.error.details }
  }

  test('has the status of the provider, and a reason with the request’s id', () => {
    assert.equal(page('blocked_by_rule').status, 'PERMISSION_DENIED')
    assert.deepEqual(page('blocked_by_rule').details, [
      { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'POLICY_BLOCK', domain: 'earthflow', metadata: { request_id: 'req_1' } },
    ])
    assert.deepEqual(
      (['invalid_request', 'unauthenticated', 'model_not_found', 'too_large', 'rate_limited', 'internal', 'unavailable', 'upstream_timeout'] as const).map(
        (reason) => page(reason).status,
      ),
      ['INVALID_ARGUMENT', 'UNAUTHENTICATED', 'NOT_FOUND', 'INVALID_ARGUMENT', 'RESOURCE_EXHAUSTED', 'INTERNAL', 'UNAVAILABLE', 'DEADLINE_EXCEEDED'],
    )
  })

  test('says in its body how long to wait and which member was wrong: the client libraries read no headers', () => {
    assert.deepEqual(page('rate_limited', { retry_after_seconds: 3 }).details[1], { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3s' })
    assert.deepEqual(page('invalid_request', { param: 'contents' }).details[1]?.fieldViolations, [{ field: 'contents', description: 'm' }])
  })

  test('is written in Google’s own words at Google’s own paths', () => {
    assert.deepEqual(vendor.credential('secret'), ['x-goog-api-key', 'secret'])
    assert.deepEqual(vendor.credentialHeaders, ['x-goog-api-key', 'authorization'])
    assert.deepEqual(vendor.limitHeaders({ requestsPerMinute: 1, remaining: 1, fullInMs: 1, retryInMs: 1, tokens: null }, 0), [])
  })
})
