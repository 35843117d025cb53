//! The two networks and the characters, as files in the granted directory. They are data, so a better model needs no new component.

use std::fs;
use std::path::Path;

use rten::{Model, ModelOptions, Value, op_registry};

/// The networks, and what the classes of the recogniser stand for.
pub(crate) struct Models {
    detector: Model,
    recogniser: Model,
    characters: Vec<String>,
}

/// Why the models cannot be used: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

impl Models {
    /// Reads `detector.onnx`, `recogniser.onnx` and `characters.txt`.
    pub(crate) fn open(directory: &Path) -> Result<Self, Unusable> {
        let characters = String::from_utf8(read(directory, "characters.txt")?)
            .map_err(|_| Unusable("characters.txt is not UTF-8; copy it again".into()))?;
        Ok(Self {
            detector: load(directory, "detector.onnx")?,
            recogniser: load(directory, "recogniser.onnx")?,
            characters: characters.lines().map(str::to_owned).collect(),
        })
    }

    /// For each pixel of a normalised picture (three planes), how likely it belongs to the core of a text line.
    pub(crate) fn detect(
        &self,
        planes: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, Unusable> {
        let (shape, likely) = run::<4>(&self.detector, "detector.onnx", planes, width, height)?;
        if shape != [1, 1, height, width] {
            return Err(strange("detector.onnx", &shape));
        }
        Ok(likely)
    }

    /// For a normalised line (three planes), how likely each class is at each step from left to right.
    pub(crate) fn recognise(
        &self,
        planes: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, Unusable> {
        let (shape, likely) = run::<3>(&self.recogniser, "recogniser.onnx", planes, width, height)?;
        if shape[0] != 1 || shape[2] != self.characters.len() {
            return Err(strange("recogniser.onnx", &shape));
        }
        Ok(likely)
    }

    /// What each class stands for; the first is the blank.
    pub(crate) fn characters(&self) -> &[String] {
        &self.characters
    }
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, Unusable> {
    let path = directory.join(name);
    fs::read(&path).map_err(|error| {
        Unusable(format!(
            "cannot read `{}`: {error}; put the files of plugins/ocr/models into data/ocr/models of Kennel's state directory, \
             and grant them: [grants.ocr] files = [{{ path = \"models\", access = \"read\" }}]",
            path.display()
        ))
    })
}

fn load(directory: &Path, name: &str) -> Result<Model, Unusable> {
    // Only what PP-OCR networks are made of is compiled in.
    let operators = op_registry!(
        Add,
        AveragePool,
        BatchNormalization,
        Clip,
        Concat,
        Conv,
        ConvTranspose,
        Div,
        Erf,
        GlobalAveragePool,
        HardSigmoid,
        HardSwish,
        Identity,
        MatMul,
        MaxPool,
        Mul,
        Pow,
        ReduceMean,
        Relu,
        Reshape,
        Resize,
        Shape,
        Sigmoid,
        Slice,
        Softmax,
        Sqrt,
        Squeeze,
        Sub,
        Transpose,
        Unsqueeze
    );
    let options = ModelOptions::with_ops(operators);
    options
        .load(read(directory, name)?)
        .map_err(|error| Unusable(format!("`{name}` is no network that can be run: {error}")))
}

fn run<const DIMENSIONS: usize>(
    model: &Model,
    name: &str,
    planes: Vec<f32>,
    width: usize,
    height: usize,
) -> Result<([usize; DIMENSIONS], Vec<f32>), Unusable> {
    let failed =
        |error: &dyn std::fmt::Display| Unusable(format!("`{name}` cannot be run: {error}"));
    let input = Value::from_shape([1, 3, height, width], planes).map_err(|error| failed(&error))?;
    let output = model
        .run_one(input.into(), None)
        .map_err(|error| failed(&error))?;
    output.into_shape_vec().map_err(|error| failed(&error))
}

fn strange(name: &str, shape: &[usize]) -> Unusable {
    Unusable(format!(
        "`{name}` gave an output of the shape {shape:?}, which does not fit; the three files must be of one release"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_are_missing_are_named_with_where_to_put_them_and_what_to_grant() {
        let Err(Unusable(reason)) = Models::open(Path::new("nowhere")) else {
            panic!("there are none")
        };
        for said in [
            "`nowhere/characters.txt`",
            "data/ocr/models",
            "[grants.ocr] files",
        ] {
            assert!(reason.contains(said), "{reason}");
        }
    }

    #[test]
    fn a_file_that_is_no_model_is_named() {
        let folder = std::env::temp_dir().join(format!("kennel-ocr-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("characters.txt"), "\na\n").expect("written");
        fs::write(folder.join("detector.onnx"), "not a model").expect("written");
        let opened = Models::open(&folder).err();
        fs::remove_dir_all(&folder).expect("removed");
        let Unusable(reason) = opened.expect("refused");
        assert!(
            reason.contains("`detector.onnx` is no network that can be run"),
            "{reason}"
        );
    }
}
