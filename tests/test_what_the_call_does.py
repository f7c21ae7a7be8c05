"""docs/what-the-call-does.md: every call is on it, its examples run, its names lead to code."""

import doctest
import pkgutil
import re

import pytest

from docs.source_lines import ROOT, locate

PATH = ROOT / "docs" / "what-the-call-does.md"
PAGE = PATH.read_text(encoding="utf-8")

# Every call in the tutorials' text and code, and in the rest of the programs of 0 and 3
CALLS = {
    "0, MLP GAN on logs, Xavier": """
        tf.constant_initializer tf.random_normal_initializer tf.truncated_normal_initializer
        tf.random_uniform_initializer compute_gradients apply_gradients minimize
        tf.global_variables_initializer tf.global_variables tf.variables_initializer
        tf.InteractiveSession input_data.read_data_sets tf.get_variable
        tf.contrib.layers.xavier_initializer tf.placeholder tf.float32 tf.nn.relu tf.matmul
        tf.nn.sigmoid sess.run
    """,
    "1, MLP GAN in one run": """
        tf.random_normal tf.sqrt tf.Variable tf.zeros tf.matmul tf.add tf.nn.relu tf.nn.sigmoid
        tf.placeholder tf.float32 tf.reduce_mean tf.log tf.train.AdamOptimizer minimize
        tf.global_variables_initializer tf.Session sess.run mnist.train.next_batch
        input_data.read_data_sets np.random.uniform np.empty plt.figure plt.imshow plt.show
        glorot_init
    """,
    "2, DCGAN with and without labels": """
        conv_out_size_same glob imread np.random.shuffle np.fromfile np.concatenate np.random.seed
        tf.placeholder tf.histogram_summary tf.image_summary tf.scalar_summary
        tf.nn.sigmoid_cross_entropy_with_logits targets= tf.reduce_mean tf.ones_like
        tf.zeros_like tf.trainable_variables tf.train.Saver tf.variable_scope
        scope.reuse_variables tf.contrib.layers.batch_norm tf.reshape tf.expand_dims
        conv_cond_concat lrelu conv2d linear concat tf.nn.relu tf.nn.tanh tf.nn.sigmoid
        tf.get_variable tf.random_normal_initializer tf.truncated_normal_initializer
        tf.constant_initializer tf.matmul deconv2d tf.nn.conv2d_transpose tf.nn.deconv2d
        tf.nn.bias_add self.sampler tf.train.AdamOptimizer minimize
        tf.global_variables_initializer tf.initialize_all_variables merge_summary SummaryWriter
        add_summary np.random.uniform get_image eval save_images image_manifold_size
        tf.train.get_checkpoint_state restore save
        tf.nn.conv2d tf.concat scipy.misc.imresize scipy.misc.imsave
    """,
    "3, DCGAN in tf.layers": """
        tf.layers.dense tf.zeros_initializer tf.get_variable tf.Variable tf.ones
        tf.layers.conv2d_transpose tf.layers.conv2d tf.layers.average_pooling2d
        tf.layers.batch_normalization tf.concat
        tf.nn.sparse_softmax_cross_entropy_with_logits tf.losses.sparse_softmax_cross_entropy
        tf.get_collection tf.GraphKeys.UPDATE_OPS tf.control_dependencies
    """,
    "4, MLP GAN on logits, TensorBoard": """
        tf.nn.sigmoid_cross_entropy_with_logits labels= tf.ones_like tf.zeros_like tf.reduce_mean
        tf.placeholder tf.float32 np.random.uniform input_data.read_data_sets
        mnist.train.next_batch tf.sqrt tf.random_normal tf.Variable tf.zeros tf.nn.relu tf.matmul
        tf.nn.sigmoid plt.figure gridspec.GridSpec gs.update plt.subplot plt.axis
        set_xticklabels set_yticklabels set_aspect plt.imshow plt.savefig plt.close
        tf.train.AdamOptimizer minimize tf.Session sess.run tf.global_variables_initializer
        tf.name_scope tf.summary.histogram tf.summary.scalar tf.summary.merge_all
        tf.summary.FileWriter add_summary xavier_init
    """,
}


@pytest.mark.parametrize("tutorial", CALLS)
def test_every_call_is_on_the_page(tutorial):
    code = " ".join(re.findall(r"`([^`\n]+)`", PAGE))
    calls = set(re.findall(r"[\w.]+=?", code))
    assert set(CALLS[tutorial].split()) - calls == set()


def test_the_examples_run():
    source = re.sub("^```.*$", "", PAGE, flags=re.MULTILINE)  # an example ends at an empty line
    examples = doctest.DocTestParser().get_doctest(source, {}, PATH.name, str(PATH), 0)
    report = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert results.failed == 0, "".join(report)
    assert results.attempted > 80


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\{src\}`([^`]+)`", PAGE))))
def test_a_name_leads_to_its_line(name):
    path, line = locate(name)
    text = (ROOT / path).read_text(encoding="utf-8").splitlines()[line - 1]
    assert re.match(rf"\s*(def|class) {name.split('.')[-1]}\b", text)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bmg((?:\.\w+)+)", PAGE))))
def test_minigan_has_the_name(name):
    assert callable(pkgutil.resolve_name(f"minigan{name}"))


def test_every_entry_names_minigan():
    for entry in PAGE.split("\n### ")[1:]:
        assert "**minigan**" in entry
