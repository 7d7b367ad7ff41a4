/** What people have a right to be told (Article 50 of the EU AI Act), and what makes a use of models worth a second look. */
import { type PresetEntry, pattern } from './preset-rule.ts'

const article = (paragraph: string, what: string): string => `EU AI Act Art. 50(${paragraph}): ${what}`

export const transparency: readonly PresetEntry[] = [
  {
    name: 'Chatbot that poses as a person',
    purpose: 'Tells a model to deny that it is one, towards the people it talks to.',
    article: article('1', 'people are told that they deal with an AI system'),
    condition: pattern(
      '\\b(?:never|do\\s+not|don.?t)\\s+(?:ever\\s+)?(?:admit|reveal|say|disclose|mention|tell\\s+(?:anyone|anybody|them|people|customers|users))\\s+(?:that\\s+)?you(?:.re|\\s+are)\\s+(?:an?\\s+)?(?:ai|artificial|bot|chatbot|machine|model|language\\s+model|robot|automated)|\\b(?:pretend|claim|insist|say)\\s+(?:to\\s+be|that\\s+you\\s+are|you\\s+are|you.re)\\s+(?:an?\\s+)?(?:real\\s+)?(?:human|real\\s+person|living\\s+person)\\b|\\bpass(?:es)?\\s+(?:it\\s+|yourself\\s+|itself\\s+)?(?:off\\s+)?(?:as|for)\\s+an?\\s+(?:human|real\\s+person)\\b',
    ),
    action: 'WARN',
    match: [
      'Never admit that you are an AI',
      'Pretend to be a real human when customers ask',
      "Don't tell users that you're a bot",
      'a chatbot that passes for a human',
    ],
    pass: ['Always say that you are an AI', 'Pretend to be a pirate', 'Is the operator a human or a bot?', 'Never admit defeat'],
  },
  {
    name: 'Deepfake',
    purpose: 'Asks for image, sound or video that shows a real person doing what they did not do.',
    article: article('4', 'deepfakes are disclosed'),
    condition: pattern(
      '\\b(?:make|create|generate|produce|build|write|render)\\b[^.!?\\n]*\\bdeep-?fakes?\\b|\\b(?:clone|imitate|fake|synthesi[sz]e)\\s+(?:the\\s+)?(?:voice|face|speech)\\s+of\\s+\\w|\\b(?:clone|fake)\\s+(?:his|her|their|my\\s+\\w+.?s)\\s+(?:voice|face)\\b|\\b(?:swap|put|replace)\\b[^.!?\\n]*\\b(?:his|her|their|celebrity.s|politician.s|actor.s|president.s)\\s+face\\b',
    ),
    action: 'WARN',
    match: [
      'Create a deepfake of the mayor',
      'Clone the voice of our chief executive',
      'Put her face on the body in this picture',
      "Swap the politician's face into this clip",
    ],
    pass: ['How are deepfakes detected?', 'Create an avatar with a made-up face', 'Clone the repository', 'What does Article 50 say about deepfakes?'],
  },
  {
    name: 'Undisclosed generated news',
    purpose: 'Asks for articles, reviews or comments that are to pass for those of people.',
    article: article('4', 'generated text on matters of public interest is disclosed'),
    condition: pattern(
      '\\b(?:write|generate|create|produce|post)\\b[^.!?\\n]*\\b(?:(?:fake|fabricated|false|invented|made-up)\\s+(?:news|reviews?|testimonials?|comments?|quotes?|witness\\s+statements?|articles?)|(?:reviews?|comments?|testimonials?|posts)\\s+(?:that\\s+look|which\\s+look|that\\s+sound|which\\s+sound|as\\s+if)\\b[^.!?\\n]*\\b(?:real|customers?|people|different|human))',
    ),
    action: 'WARN',
    match: [
      'Write ten fake reviews for our hotel',
      'Generate a fake news article about the minister',
      'Create comments that look like they come from real people',
    ],
    pass: ['How do I recognise fake reviews?', 'Write a review of this book', 'Generate fake addresses for the unit test'],
  },
  {
    name: 'Removed marks of origin',
    purpose: 'Asks for watermarks or provenance of generated content to be removed, or for text that detectors do not notice.',
    article: article('2', 'generated content is marked in a machine-readable way'),
    condition: pattern(
      '\\b(?:remove|strip|delete|erase|get\\s+rid\\s+of)\\s+(?:the\\s+|all\\s+|any\\s+)?(?:ai\\s+|invisible\\s+|c2pa\\s+|synthid\\s+)*(?:watermarks?|c2pa|synthid|provenance|content\\s+credentials)\\b|\\b(?:bypass|evade|fool|beat|avoid|undetectable\\s+(?:by|to|for)|pass)\\s+(?:the\\s+|all\\s+|any\\s+)?(?:ai|gpt|chatgpt|turnitin|plagiarism)[\\s-]*(?:content\\s+)?(?:detectors?|detection|checks?|checkers?)\\b',
    ),
    action: 'WARN',
    match: [
      'Remove the watermark from this generated picture',
      'Strip the C2PA metadata',
      'Rewrite it so that it is undetectable by AI detectors',
      'How do I bypass GPT detection?',
    ],
    pass: ['How do watermarks work?', 'Add a watermark to the picture', 'Remove the water marks from the table', 'Pass the detector to the function'],
  },
  {
    name: 'Emotions or categories without notice',
    purpose: 'Asks for emotion recognition or biometric categorisation that the people concerned are not to know of.',
    article: article('3', 'people exposed to emotion recognition or biometric categorisation are told'),
    condition: pattern(
      '\\b(?:secretly|covertly|without\\s+(?:them|their|the\\s+\\w+.?s?|people.?s?)\\s*(?:knowing|knowledge|consent|noticing))\\b[^.!?\\n]*\\b(?:emotions?|faces?|facial|voices?|biometrics?|mood)\\b|\\b(?:emotions?|faces?|facial|voices?|biometrics?|mood)\\b[^.!?\\n]*\\b(?:secretly|covertly|without\\s+(?:them|their|people.?s?)\\s+(?:knowing|knowledge|consent|noticing))\\b',
    ),
    action: 'WARN',
    match: ['Secretly analyse the emotions of visitors', 'Record their faces without their consent', 'Covertly compare voices on the hotline'],
    pass: [
      'Ask for consent before you record voices',
      'He secretly loved music',
      'Without their knowledge we cannot start',
      'Show an emotion when the mood changes',
    ],
  },
  {
    name: 'Training on personal data',
    purpose: 'Asks for models to be trained or tuned on data about people: a reason to look at governance and legal basis first.',
    article: 'EU AI Act Art. 10 (data governance); GDPR Art. 6, 9; EDPB Opinion 28/2024',
    condition: pattern(
      '\\b(?:train|fine-?tune|finetune)\\b[^.!?\\n]*\\bon\\b[^.!?\\n]*\\b(?:patients?|medical\\s+records?|customers?|employees?|students?|users?.?|personal|private\\s+(?:messages|e-?mails?|chats?)|faces|biometric)\\s*(?:data|records?|messages|e-?mails?|chats?|histories|photos|images|files)?\\b',
    ),
    action: 'WARN',
    match: ['Fine-tune the model on our patient records', 'Train a classifier on customer e-mails', 'How do I finetune llama on private messages?'],
    pass: ['Train the model on synthetic numbers', 'The train on platform 3 is late', 'Customers train on our machines', 'Fine-tune the guitar on the porch'],
  },
]
