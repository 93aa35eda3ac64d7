// The official OpenAI client, unmodified, with nothing but a base URL and an API key. Prints what it saw as one JSON
// document. Arguments: base URL, API key, model, API key with no budget left.
import OpenAI from 'openai'

const [baseURL, apiKey, model, spent] = process.argv.slice(2)
const client = new OpenAI({ baseURL, apiKey, maxRetries: 1 })
const seen = {}

seen.models = (await client.models.list()).data.map((m) => m.id)
seen.model = (await client.models.retrieve(model)).id

const chat = await client.chat.completions.create({ model, max_completion_tokens: 20, messages: [{ role: 'user', content: 'Who are we few?' }] })
seen.chat = { text: chat.choices[0].message.content, usage: chat.usage, fee: chat.datanet.fee, receipt: chat.datanet.receipt_id }

const { data, response } = await client.completions.create({ model, max_tokens: 20, prompt: 'we few' }).withResponse()
seen.text = { text: data.choices[0].text, receipt: response.headers.get('datanet-receipt') === data.datanet.receipt_id }

const stream = await client.chat.completions.create({ model, max_completion_tokens: 20, stream: true, messages: [{ role: 'user', content: 'Once more' }] })
seen.stream = { text: '', parts: 0 }
for await (const chunk of stream) {
  seen.stream.parts++
  seen.stream.text += chunk.choices[0].delta.content ?? '' // every chunk has a choice when the usage was not asked for
  if (chunk.datanet) seen.stream.fee = chunk.datanet.fee
}

const runner = client.chat.completions.stream({ model, max_completion_tokens: 20, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'And again' }] })
seen.runner = { text: await runner.finalContent(), usage: await runner.totalUsage() }

const fault = async (call) => {
  try {
    await call()
  } catch (e) {
    return { class: e.constructor.name, status: e.status, code: e.code, type: e.type, param: e.param }
  }
}
const ask = (more) => ({ model, max_completion_tokens: 20, messages: [{ role: 'user', content: 'x' }], ...more })
seen.faults = {
  model: await fault(() => client.chat.completions.create(ask({ model: 'NobodyMSP/none@1' }))),
  tools: await fault(() => client.chat.completions.create(ask({ tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] }))),
  key: await fault(() => new OpenAI({ baseURL, apiKey: 'dn_nobody', maxRetries: 0 }).chat.completions.create(ask({}))),
  budget: await fault(() => new OpenAI({ baseURL, apiKey: spent, maxRetries: 0 }).chat.completions.create(ask({}))),
}
console.log(JSON.stringify(seen))
